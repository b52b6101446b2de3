//! Rules as far as the bodies know them: caps and rates.

use super::super::number;

/// What a rule limits. One that says more is left to the text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rule {
    pub cap: Option<f64>,
    pub rate: Option<Rate>,
}

/// How many jobs may begin in a time. Numbers are as Lua has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub form: Form,
    pub n: f64,
    pub per_ms: f64,
    /// How many a bucket holds.
    pub burst: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Window,
    Sliding,
    Bucket,
}

impl Rule {
    /// Reads a rule as it is written by us, in JSON without spaces; none for any other.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (mut rule, mut reader) = (Self::default(), Reader(text));
        reader.object(|reader, name| {
            match name {
                b"cap" => rule.cap = Some(reader.number()?),
                b"rate" => rule.rate = Some(Rate::read(reader)?),
                b"max_jobs" | b"max_bytes" => drop(reader.number()?),
                _ => return None,
            }
            Some(())
        })?;
        reader.0.is_empty().then_some(rule)
    }

    /// Whether it limits anything when jobs are taken.
    pub fn limits(&self) -> bool {
        self.cap.is_some() || self.rate.is_some()
    }
}

impl Rate {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (mut form, mut n, mut per_ms, mut burst) = (None, None, None, None);
        reader.object(|reader, name| {
            match name {
                b"form" => form = Some(Form::of(reader.word()?)?),
                b"n" => n = Some(reader.number()?),
                b"per_ms" => per_ms = Some(reader.number()?),
                b"burst" => burst = Some(reader.number()?),
                _ => return None,
            }
            Some(())
        })?;
        let (n, per_ms) = (n.filter(|n| *n > 0.0)?, per_ms.filter(|per_ms| *per_ms > 0.0)?);
        Some(Self { form: form?, n, per_ms, burst: burst.unwrap_or(n) })
    }
}

impl Form {
    fn of(word: &[u8]) -> Option<Self> {
        [Self::Window, Self::Sliding, Self::Bucket].into_iter().find(|form| form.name().as_bytes() == word)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Sliding => "sliding",
            Self::Bucket => "bucket",
        }
    }
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn skip(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// Reads an object, each value by `read`.
    fn object(&mut self, mut read: impl FnMut(&mut Self, &[u8]) -> Option<()>) -> Option<()> {
        self.skip(b'{')?;
        if self.skip(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = self.word()?;
            self.skip(b':')?;
            read(self, name)?;
            if self.skip(b',').is_none() {
                return self.skip(b'}');
            }
        }
    }

    /// A text without escapes.
    fn word(&mut self) -> Option<&'a [u8]> {
        self.skip(b'"')?;
        let end = self.0.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        self.skip(b'"')?;
        Some(word)
    }

    /// A whole number that is not negative.
    fn number(&mut self) -> Option<f64> {
        let end = self.0.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        number(digits).map(|number| number as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_and_rates_are_read_and_what_else_a_rule_says_is_not() {
        let rate = Rate { form: Form::Bucket, n: 5.0, per_ms: 1000.0, burst: 5.0 };
        let sliding = Rate { form: Form::Sliding, n: 5.0, per_ms: 1000.0, burst: 7.0 };
        for (text, rule) in [
            ("{}", Some(Rule::default())),
            (r#"{"cap":3}"#, Some(Rule { cap: Some(3.0), rate: None })),
            (
                r#"{"cap":0,"rate":{"form":"bucket","n":5,"per_ms":1000},"max_jobs":9,"max_bytes":7}"#,
                Some(Rule { cap: Some(0.0), rate: Some(rate) }),
            ),
            (
                r#"{"rate":{"form":"sliding","n":5,"per_ms":1000,"burst":7}}"#,
                Some(Rule { cap: None, rate: Some(sliding) }),
            ),
            (r#"{"paused":true}"#, None),
            (r#"{"order":"wait"}"#, None),
            (r#"{"cap":1.5}"#, None),
            (r#"{"cap":-1}"#, None),
            (r#"{"cap":3} "#, None),
            (r#"{"cap":3"#, None),
            (r#"{"rate":{"form":"bucket","n":0,"per_ms":1}}"#, None),
            (r#"{"rate":{"form":"leaky","n":1,"per_ms":1}}"#, None),
            (r#"{"rate":{"n":1,"per_ms":1}}"#, None),
            ("", None),
        ] {
            assert_eq!(Rule::parse(text.as_bytes()), rule, "{text}");
        }
    }
}
