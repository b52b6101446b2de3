//! A bar on a terminal that shows how far a long work is; nothing elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// It is drawn no oftener.
const INTERVAL: Duration = Duration::from_millis(100);
const WIDTH: usize = 30;

/// A bar. Dropping it clears its line.
pub struct Bar {
    label: String,
    total: u64,
    done: u64,
    started: Instant,
    drawn: Option<Instant>,
    is_shown: bool,
}

impl Bar {
    /// A bar for work on about `total` keys.
    pub fn new(label: impl Into<String>, total: u64) -> Self {
        let is_shown = std::io::stderr().is_terminal();
        Self { label: label.into(), total, done: 0, started: Instant::now(), drawn: None, is_shown }
    }

    /// So many more are done.
    pub fn add(&mut self, count: u64) {
        self.done += count;
        if !self.is_shown || self.drawn.is_some_and(|drawn| drawn.elapsed() < INTERVAL) {
            return;
        }
        self.drawn = Some(Instant::now());
        let mut stderr = std::io::stderr();
        // Progress is for whoever looks on; when nobody can be told, the work goes on.
        let _ = write!(stderr, "\r\x1b[K{}", self.line());
        let _ = stderr.flush();
    }

    fn line(&self) -> String {
        // Keys come and go meanwhile, so that there may be more than there were.
        let total = self.total.max(self.done).max(1);
        let filled = (self.done as f64 / total as f64 * WIDTH as f64) as usize;
        let rate = self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        format!(
            "{} [{}{}] {} of {} keys, {} a second",
            self.label,
            "#".repeat(filled),
            ".".repeat(WIDTH - filled),
            count(self.done),
            count(total),
            count(rate as u64)
        )
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// So many keys, in words.
pub fn keys(number: u64) -> String {
    if number == 1 { "1 key".into() } else { format!("{} keys", count(number)) }
}

/// So many libraries, in words.
pub fn libraries(number: u64) -> String {
    if number == 1 {
        "1 library of functions".into()
    } else {
        format!("{} libraries of functions", count(number))
    }
}

/// So many keys and libraries, in words; libraries are named when there are any.
pub fn contents(keys: u64, libraries: u64) -> String {
    match (keys, libraries) {
        (keys, 0) => self::keys(keys),
        (0, libraries) => self::libraries(libraries),
        (keys, libraries) => format!("{} and {}", self::keys(keys), self::libraries(libraries)),
    }
}

/// A number with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn libraries_are_told_of_when_there_are_any() {
        assert_eq!(contents(0, 0), "0 keys");
        assert_eq!(contents(0, 2), "2 libraries of functions");
        assert_eq!(contents(1, 1), "1 key and 1 library of functions");
    }

    #[test]
    fn more_than_was_expected_is_a_full_bar() {
        let mut bar = Bar::new("x", 2);
        bar.done = 3;
        assert!(bar.line().contains("3 of 3 keys") && !bar.line().contains('.'), "{}", bar.line());
    }
}
