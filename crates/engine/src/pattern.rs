//! Glob patterns as KEYS, SCAN and PSUBSCRIBE take them.

/// True when `text` matches `pattern`: `*`, `?`, `[a-c]`, `[^x]` and `\` for the next character as it is.
///
/// Iterative, with one place to come back to: time is at most the product of the two lengths and the stack stays flat
/// whatever the pattern.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        match step(&pattern[p..], text[t]) {
            Some(width) => {
                p += width;
                t += 1;
            }
            None => match star {
                Some((after, from)) => {
                    p = after;
                    t = from + 1;
                    star = Some((after, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The length of the pattern's first element when it matches `byte`.
fn step(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', rest @ ..] => {
            let (is_in, width) = class(rest, byte);
            is_in.then_some(width + 1)
        }
        [literal, ..] => (*literal == byte).then_some(1),
    }
}

/// Whether `byte` is in the class whose text follows `[`, and the length of that text with its `]`.
fn class(text: &[u8], byte: u8) -> (bool, usize) {
    let is_negated = text.first() == Some(&b'^');
    let mut at = usize::from(is_negated);
    let mut found = false;
    loop {
        match &text[at..] {
            // A class that does not end takes the rest of the pattern, as in Redis.
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                at += 3;
            }
            [one, ..] => {
                found |= *one == byte;
                at += 1;
            }
        }
    }
    (found != is_negated, at)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, is_match) in [
            ("*", "", true),
            ("h?llo", "hello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            (r"h\*llo", "h*llo", true),
            (r"h\*llo", "hxllo", false),
            ("*a*b", "xaxxb", true),
            ("*a*b", "xaxxbc", false),
            ("[a", "a", true),
            ("a", "", false),
            ("user:*:name", "user:1:name", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), is_match, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_ends_in_time() {
        assert!(!matches(&b"*a".repeat(2_000), &b"b".repeat(2_000)));
    }
}
