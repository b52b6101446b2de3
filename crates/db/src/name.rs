//! Names of commands, as clients write them: in any case.

/// True when a name is one of some, which are in upper case. It is asked of every command, and of nearly all the length
/// or the first letter tells at once that they are none of those.
#[inline]
pub fn is_one_of(name: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|word| is(name, word))
}

/// True when a name is this one, which is in upper case.
#[inline]
pub fn is(name: &[u8], word: &[u8]) -> bool {
    name.len() == word.len() && has_letters(name, word)
}

/// Apart, so that the lengths are compared where the question is asked.
fn has_letters(name: &[u8], word: &[u8]) -> bool {
    name.first().map(u8::to_ascii_uppercase) == word.first().copied() && name.eq_ignore_ascii_case(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_any_case_and_only_whole() {
        for name in [&b"HELLO"[..], b"hello", b"hElLo", b"AUTH"] {
            assert!(is_one_of(name, &[b"HELLO", b"AUTH"]));
        }
        for name in [&b"HELL"[..], b"HELLOO", b"JELLO", b"HELLA", b""] {
            assert!(!is_one_of(name, &[b"HELLO", b"AUTH"]));
        }
    }
}
