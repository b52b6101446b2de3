//! What a limit lets begin: reckoned as `rule.lua` does, step by step, so that both write the same digits.

use super::rule::{Form, Rate, Rule};
use super::turns::whole;
use crate::error::Result;
use crate::number::parse_float;
use crate::script::Scene;
use crate::types::Hash;

/// How long what a rate has counted is kept at least: a key that ends and begins anew with every exchange costs more.
const RATE_LIFE_MIN_MS: f64 = 1000.0;
/// What is added before a sum of fractions is cut off.
const SLACK: f64 = 1e-6;

/// A limit, and what one taking takes of it.
pub struct Limit {
    /// `queue:Q` or `kind:K`.
    pub name: Vec<u8>,
    /// Whether jobs hold it while they are active.
    pub is_held: bool,
    tokens: Option<(Rate, Tokens)>,
    pub took: usize,
}

/// What a rate has counted.
#[derive(Clone, Copy)]
enum Tokens {
    Bucket(f64),
    /// The number of the window, and how many began in it and in the one before.
    Window(f64, f64, f64),
}

impl Limit {
    /// Reads a limit, which was seen to be as usual.
    pub fn read(
        scene: &mut Scene,
        name: &[u8],
        (is_held, rate): (bool, Option<Rate>),
        rate_key: &[u8],
    ) -> Result<Self> {
        let now_ms = scene.now.millis();
        let tokens = match rate {
            Some(rate) => {
                let counted = Tokens::read(rate, scene.view(&[]).get::<Hash>(rate_key)?, now_ms);
                Some((rate, counted.expect("what a rate has counted was seen to be as usual")))
            }
            None => None,
        };
        Ok(Self { name: name.to_vec(), is_held, tokens, took: 0 })
    }

    /// How many a rate admits.
    pub fn tokens(&self, now_ms: u64) -> Option<f64> {
        self.tokens.map(|(rate, tokens)| tokens.left(rate, now_ms))
    }

    /// Writes down what was taken.
    pub fn write(&self, scene: &mut Scene, caps: &[u8], rate_key: &[u8]) -> Result<()> {
        if self.took == 0 {
            return Ok(());
        }
        let took = self.took.to_string();
        if self.is_held {
            scene.run(&[b"HINCRBY", caps, &self.name, took.as_bytes()])?;
        }
        let Some((rate, tokens)) = self.tokens else { return Ok(()) };
        let now_ms = scene.now.millis() as f64;
        let form = form_text(rate);
        let life_ms = match tokens {
            Tokens::Bucket(tokens) => {
                let left = tokens - self.took as f64;
                let (left_text, now) = (format!("{left:.6}"), whole(now_ms));
                let command: [&[u8]; 8] = [
                    b"HSET",
                    rate_key,
                    b"a",
                    left_text.as_bytes(),
                    b"b",
                    now.as_bytes(),
                    b"form",
                    form.as_bytes(),
                ];
                scene.run(&command)?;
                ((rate.burst - left) * rate.per_ms / rate.n).ceil() + 1.0
            }
            Tokens::Window(window, used, before) => {
                let [window, used, before] = [window, used + self.took as f64, before].map(whole);
                let counts: [&[u8]; 6] =
                    [b"a", window.as_bytes(), b"b", used.as_bytes(), b"c", before.as_bytes()];
                let command: Vec<&[u8]> = [b"HSET", rate_key]
                    .into_iter()
                    .chain(counts)
                    .chain([b"form".as_slice(), form.as_bytes()])
                    .collect();
                scene.run(&command)?;
                2.0 * rate.per_ms
            }
        };
        let life = whole(life_ms.max(RATE_LIFE_MIN_MS));
        scene.run(&[b"PEXPIRE", rate_key, life.as_bytes()]).map(drop)
    }
}

/// How many a rate admits now; none when what it has counted is not written as usual.
pub fn tokens(rate: Rate, counted: Option<&Hash>, now_ms: u64) -> Option<f64> {
    Some(Tokens::read(rate, counted, now_ms)?.left(rate, now_ms))
}

/// Whether a rule lets `wanted` jobs more begin.
pub fn has_room(rule: &Rule, held: f64, tokens: Option<f64>, wanted: f64) -> bool {
    rule.cap.is_none_or(|cap| cap - held >= wanted) && tokens.is_none_or(|tokens| tokens >= wanted)
}

impl Tokens {
    fn read(rate: Rate, counted: Option<&Hash>, now_ms: u64) -> Option<Self> {
        let field = |name: &[u8]| counted.and_then(|counted| counted.get(name));
        let count = |name: &[u8]| field(name).map_or(Some(0.0), |text| plain_number(text));
        let (mut a, mut b, mut c) = (count(b"a")?, count(b"b")?, count(b"c")?);
        // What another form or another window counted says nothing here.
        if field(b"form").is_none_or(|form| **form != *form_text(rate).as_bytes()) {
            (a, b, c) = (0.0, 0.0, 0.0);
        }
        let now = now_ms as f64;
        if rate.form == Form::Bucket {
            let filled = if b > 0.0 { a + (now - b).max(0.0) * rate.n / rate.per_ms } else { rate.burst };
            return Some(Self::Bucket(filled.min(rate.burst)));
        }
        let window = (now / rate.per_ms).floor();
        let (used, before) = match a {
            a if a == window => (b, c),
            a if a == window - 1.0 => (0.0, b),
            _ => (0.0, 0.0),
        };
        Some(Self::Window(window, used, before))
    }

    fn left(self, rate: Rate, now_ms: u64) -> f64 {
        match self {
            Self::Bucket(tokens) => (tokens + SLACK).floor(),
            Self::Window(window, used, before) if rate.form == Form::Sliding => {
                let passed = now_ms as f64 / rate.per_ms - window;
                (rate.n - used - before * (1.0 - passed) + SLACK).floor()
            }
            Self::Window(_, used, _) => rate.n - used,
        }
    }
}

fn form_text(rate: Rate) -> String {
    format!("{}{:.0}", rate.form.name(), rate.per_ms)
}

/// A number as the text writes it.
fn plain_number(text: &[u8]) -> Option<f64> {
    let is_plain = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-'));
    parse_float(text).filter(|_| is_plain)
}
