//! Which keys of a file are meant.

use windlass_db::carry::matches_pattern;

use crate::args::KeyType;

/// A choice of keys by name and type.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// As SCAN takes it; none for all names.
    pub pattern: Option<String>,
    /// Empty for all types.
    pub types: Vec<KeyType>,
}

impl Filter {
    /// True when libraries of functions are meant, too, which have neither the name nor the type of a key.
    pub fn takes_libraries(&self) -> bool {
        self.pattern.is_none() && self.types.is_empty()
    }

    /// True when a key of this name and of a type that TYPE calls `kind` is meant.
    pub fn takes(&self, key: &[u8], kind: &str) -> bool {
        let is_named = self.pattern.as_ref().is_none_or(|pattern| matches_pattern(pattern.as_bytes(), key));
        is_named && (self.types.is_empty() || self.types.iter().any(|wanted| wanted.name() == kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_meant_when_both_its_name_and_its_type_are() {
        let all = Filter::default();
        assert!(all.takes(b"anything", "stream") && all.takes_libraries());
        let some = Filter { pattern: Some("job:*".into()), types: vec![KeyType::Hash, KeyType::Zset] };
        assert!(!some.takes_libraries());
        let meant = [("job:1", "hash"), ("job:", "zset"), ("job:1", "string"), ("other", "hash")];
        let taken = meant.map(|(key, kind)| some.takes(key.as_bytes(), kind));
        assert_eq!(taken, [true, true, false, false]);
    }
}
