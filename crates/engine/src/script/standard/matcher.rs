//! Lua's patterns, matched step by step.
//!
//! Lua 5.1's own matcher calls itself for each part of a pattern and cannot be left before it is done, which for some
//! patterns is never. This one finds the same in the same order; but what is left to try rests in a list, so that no
//! pattern takes the C stack, and each step is counted, so that a script can be stopped in the midst of one call.

use std::cell::Cell;
use std::ffi::CStr;

use super::super::hook;

/// The most captures of a pattern.
const CAPTURES_MAX: usize = 32;

/// The most that may be left to try: one for each part of a pattern. At about as many Lua 5.1 ends the process.
const CHOICES_MAX: usize = 100_000;

/// How many steps take as long as an instruction of Lua, how few are not counted when a search has ended, and how many are
/// taken between two looks at the budget.
const STEPS_PER_INSTRUCTION: u64 = 4;
const STEPS_MIN: u64 = 64;
const STEPS_MAX: u64 = 4_096;

/// How many compared bytes are a step.
const BYTES_PER_STEP: usize = 16;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// What is wrong with the pattern, in Lua's words.
    Text(&'static CStr),
    /// The script is to stop.
    Stopped,
}

type Result<T> = std::result::Result<T, Problem>;

/// What a pair of parentheses caught.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capture {
    pub start: usize,
    pub extent: Extent,
}

#[derive(Clone, Copy, Debug, Default)]
pub enum Extent {
    /// Its end was not met yet.
    #[default]
    Open,
    /// It catches the place, not what is there.
    Position,
    Length(usize),
}

/// What is left to try, or to take back, when the rest of the pattern does not match. `at` is a place in the text, `part`
/// and `next` are places in the pattern.
#[derive(Clone, Copy)]
enum Choice {
    /// Go on at `next` without having taken what is optional.
    Skip { at: usize, next: usize },
    /// Go on at `next` after fewer: so many may still be given back.
    Fewer { at: usize, left: usize, next: usize },
    /// Take one more of `part`, and go on at `next`.
    More { at: usize, part: usize, next: usize },
    /// Forget the last capture.
    Forget,
    /// Open this capture again.
    Reopen(usize),
}

enum Step {
    /// Go on at a place of the text and one of the pattern.
    To(usize, usize),
    Matched,
    Failed,
}

thread_local! {
    /// What is left to try, kept for its capacity.
    static CHOICES: Cell<Vec<Choice>> = const { Cell::new(Vec::new()) };
}

/// A pattern on a text.
pub struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; CAPTURES_MAX],
    level: usize,
    /// What was done and is not counted in the budget yet.
    steps: u64,
}

impl<'a> Matcher<'a> {
    /// A matcher; there is no zero byte in `pattern`.
    pub fn new(text: &'a [u8], pattern: &'a [u8]) -> Self {
        Self { text, pattern, captures: [Capture::default(); CAPTURES_MAX], level: 0, steps: 0 }
    }

    /// The bounds of the first match that begins between two places.
    ///
    /// # Errors
    /// When the pattern is malformed, or the script is to stop.
    pub fn find(&mut self, first: usize, last: usize) -> Result<Option<(usize, usize)>> {
        let mut choices = CHOICES.take();
        let mut search = || {
            for start in first..=last {
                if let Some(end) = self.run(start, &mut choices)? {
                    return Ok(Some((start, end)));
                }
            }
            Ok(None)
        };
        let found = search();
        CHOICES.set(choices);
        if self.steps >= STEPS_MIN {
            self.settle()?;
        }
        found
    }

    /// What the last match caught.
    pub fn captures(&self) -> &[Capture] {
        &self.captures[..self.level]
    }

    /// The end of the match that begins at `start`.
    fn run(&mut self, start: usize, choices: &mut Vec<Choice>) -> Result<Option<usize>> {
        self.level = 0;
        choices.clear();
        let (mut at, mut part) = (start, 0);
        loop {
            (at, part) = match self.step(at, part, choices)? {
                Step::To(at, part) => (at, part),
                Step::Matched => return Ok(Some(at)),
                Step::Failed => match self.go_back(choices)? {
                    Some(place) => place,
                    None => return Ok(None),
                },
            };
        }
    }

    /// Goes on with the latest choice that is left.
    fn go_back(&mut self, choices: &mut Vec<Choice>) -> Result<Option<(usize, usize)>> {
        while let Some(choice) = choices.pop() {
            self.count(1)?;
            match choice {
                Choice::Skip { at, next } => return Ok(Some((at, next))),
                Choice::Fewer { at, left, next } => {
                    if left > 1 {
                        choices.push(Choice::Fewer { at: at - 1, left: left - 1, next });
                    }
                    return Ok(Some((at - 1, next)));
                }
                Choice::More { at, part, next } => {
                    if self.is_single(at, part, next - 1)? {
                        choices.push(Choice::More { at: at + 1, part, next });
                        return Ok(Some((at + 1, next)));
                    }
                }
                Choice::Forget => self.level -= 1,
                Choice::Reopen(level) => self.captures[level].extent = Extent::Open,
            }
        }
        Ok(None)
    }

    fn step(&mut self, at: usize, part: usize, choices: &mut Vec<Choice>) -> Result<Step> {
        self.count(1)?;
        match self.pattern.get(part) {
            None => Ok(Step::Matched),
            Some(b'(') => {
                let is_position = self.byte(part + 1) == b')';
                let extent = if is_position { Extent::Position } else { Extent::Open };
                let capture = self.captures.get_mut(self.level);
                *capture.ok_or(Problem::Text(c"too many captures"))? = Capture { start: at, extent };
                self.level += 1;
                leave(Choice::Forget, choices)?;
                Ok(Step::To(at, part + 1 + usize::from(is_position)))
            }
            Some(b')') => {
                let is_open = |capture: &Capture| matches!(capture.extent, Extent::Open);
                let level = self.captures().iter().rposition(is_open);
                let level = level.ok_or(Problem::Text(c"invalid pattern capture"))?;
                self.captures[level].extent = Extent::Length(at - self.captures[level].start);
                leave(Choice::Reopen(level), choices)?;
                Ok(Step::To(at, part + 1))
            }
            Some(b'%') => match self.byte(part + 1) {
                b'b' => self.balance(at, part + 2),
                b'f' => self.frontier(at, part + 2),
                digit @ b'0'..=b'9' => self.repeat(at, part + 2, digit),
                _ => self.item(at, part, choices),
            },
            Some(b'$') if part + 1 == self.pattern.len() => {
                Ok(if at == self.text.len() { Step::Matched } else { Step::Failed })
            }
            Some(_) => self.item(at, part, choices),
        }
    }

    /// One character or class, with how often it may come.
    fn item(&mut self, at: usize, part: usize, choices: &mut Vec<Choice>) -> Result<Step> {
        let end = self.class_end(part)?;
        match self.byte(end) {
            b'?' if self.is_single(at, part, end)? => {
                leave(Choice::Skip { at, next: end + 1 }, choices)?;
                Ok(Step::To(at + 1, end + 1))
            }
            b'?' => Ok(Step::To(at, end + 1)),
            b'*' => self.most(at, part, end, choices),
            b'+' if self.is_single(at, part, end)? => self.most(at + 1, part, end, choices),
            b'-' => {
                leave(Choice::More { at, part, next: end + 1 }, choices)?;
                Ok(Step::To(at, end + 1))
            }
            b'+' => Ok(Step::Failed),
            _ => Ok(if self.is_single(at, part, end)? { Step::To(at + 1, end) } else { Step::Failed }),
        }
    }

    /// As many as there are.
    fn most(&mut self, from: usize, part: usize, end: usize, choices: &mut Vec<Choice>) -> Result<Step> {
        let mut at = from;
        while self.is_single(at, part, end)? {
            at += 1;
        }
        if at > from {
            leave(Choice::Fewer { at, left: at - from, next: end + 1 }, choices)?;
        }
        Ok(Step::To(at, end + 1))
    }

    /// `%b`: up to where what it opens is closed.
    fn balance(&mut self, at: usize, part: usize) -> Result<Step> {
        let [open, close] = [self.byte(part), self.byte(part + 1)];
        if open == 0 || close == 0 {
            return Err(Problem::Text(c"unbalanced pattern"));
        }
        if self.text.get(at) != Some(&open) {
            return Ok(Step::Failed);
        }
        let mut depth = 1;
        for end in at + 1..self.text.len() {
            self.count(1)?;
            if self.text[end] == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Step::To(end + 1, part + 2));
                }
            } else if self.text[end] == open {
                depth += 1;
            }
        }
        Ok(Step::Failed)
    }

    /// `%f`: between what is not in a set and what is. Around the text there are zero bytes.
    fn frontier(&mut self, at: usize, part: usize) -> Result<Step> {
        if self.byte(part) != b'[' {
            return Err(Problem::Text(c"missing '[' after '%f' in pattern"));
        }
        let end = self.class_end(part)?;
        let before = at.checked_sub(1).map_or(0, |before| self.text[before]);
        let after = self.text.get(at).copied().unwrap_or_default();
        let is_there = !self.set_has(before, part, end - 1) && self.set_has(after, part, end - 1);
        Ok(if is_there { Step::To(at, end) } else { Step::Failed })
    }

    /// `%1`: the same as a capture.
    fn repeat(&mut self, at: usize, next: usize, digit: u8) -> Result<Step> {
        let capture = usize::from(digit).checked_sub(usize::from(b'1'));
        let capture = capture.and_then(|level| self.captures().get(level));
        let (start, length) = match capture {
            Some(Capture { start, extent: Extent::Length(length) }) => (*start, *length),
            Some(Capture { extent: Extent::Position, .. }) => return Ok(Step::Failed),
            _ => return Err(Problem::Text(c"invalid capture index")),
        };
        self.count((length / BYTES_PER_STEP) as u64)?;
        let is_there = self.text[at..].starts_with(&self.text[start..start + length]);
        Ok(if is_there { Step::To(at + length, next) } else { Step::Failed })
    }

    /// A byte of the pattern, zero behind its end.
    fn byte(&self, part: usize) -> u8 {
        self.pattern.get(part).copied().unwrap_or_default()
    }

    /// Where the character or class at `part` ends.
    fn class_end(&mut self, part: usize) -> Result<usize> {
        match self.byte(part) {
            b'%' if self.byte(part + 1) == 0 => Err(Problem::Text(c"malformed pattern (ends with '%')")),
            b'%' => Ok(part + 2),
            b'[' => {
                let mut end = part + 1 + usize::from(self.byte(part + 1) == b'^');
                // What comes first is in the set, even if it is a bracket.
                loop {
                    let byte = self.byte(end);
                    if byte == 0 {
                        return Err(Problem::Text(c"malformed pattern (missing ']')"));
                    }
                    end += 1;
                    if byte == b'%' && self.byte(end) != 0 {
                        end += 1;
                    }
                    if self.byte(end) == b']' {
                        self.count((end - part) as u64)?;
                        return Ok(end + 1);
                    }
                }
            }
            _ => Ok(part + 1),
        }
    }

    /// Whether what is at a place of the text is the character or in the class between two places of the pattern.
    fn is_single(&mut self, at: usize, part: usize, end: usize) -> Result<bool> {
        self.count((end - part) as u64)?;
        let Some(&byte) = self.text.get(at) else { return Ok(false) };
        Ok(match self.byte(part) {
            b'.' => true,
            b'%' => class_has(byte, self.byte(part + 1)),
            b'[' => self.set_has(byte, part, end - 1),
            other => byte == other,
        })
    }

    /// Whether a byte is in the set between the brackets at `part` and `last`.
    fn set_has(&self, byte: u8, part: usize, last: usize) -> bool {
        let is_inverted = self.byte(part + 1) == b'^';
        let mut at = part + 1 + usize::from(is_inverted);
        while at < last {
            let first = self.byte(at);
            let is_in = if first == b'%' {
                at += 1;
                class_has(byte, self.byte(at))
            } else if self.byte(at + 1) == b'-' && at + 2 < last {
                at += 2;
                (first..=self.byte(at)).contains(&byte)
            } else {
                first == byte
            };
            if is_in {
                return !is_inverted;
            }
            at += 1;
        }
        is_inverted
    }

    fn count(&mut self, steps: u64) -> Result<()> {
        self.steps += steps;
        if self.steps < STEPS_MAX { Ok(()) } else { self.settle() }
    }

    /// Counts what was done in the budget.
    fn settle(&mut self) -> Result<()> {
        let steps = std::mem::take(&mut self.steps);
        if hook::spend(steps / STEPS_PER_INSTRUCTION) { Ok(()) } else { Err(Problem::Stopped) }
    }
}

fn leave(choice: Choice, choices: &mut Vec<Choice>) -> Result<()> {
    if choices.len() >= CHOICES_MAX {
        return Err(Problem::Text(c"pattern too complex"));
    }
    choices.push(choice);
    Ok(())
}

/// Whether a byte is in the class of a letter; in upper case it is the class of all others.
fn class_has(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return byte == class,
    };
    is_in == class.is_ascii_lowercase()
}
