//! LCS: the longest common subsequence of two strings.

use windlass_resp::Value;

use super::STRING_MAX;
use crate::args::Args;
use crate::blob::Blob;
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::number::parse_integer;
use crate::state::Call;

/// What is asked for beside the text itself.
#[derive(Default)]
struct Options {
    wants_length: bool,
    wants_indices: bool,
    with_lengths: bool,
    length_min: usize,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self> {
        let mut options = Self::default();
        let mut at = 3;
        while at < args.len() {
            match args.word(at).as_str() {
                "LEN" => options.wants_length = true,
                "IDX" => options.wants_indices = true,
                "WITHMATCHLEN" => options.with_lengths = true,
                "MINMATCHLEN" if at + 1 < args.len() => {
                    at += 1;
                    let length = parse_integer(args[at]).ok_or(Error::NOT_INTEGER)?;
                    options.length_min = usize::try_from(length).unwrap_or(0);
                }
                _ => return Err(Error::SYNTAX),
            }
            at += 1;
        }
        if options.wants_length && options.wants_indices {
            return Err(Error::new("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}

pub fn lcs(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let mut read = |index: usize| match call.get::<Blob>(args[index]) {
        Ok(text) => Ok(text.cloned().unwrap_or_default()),
        Err(_) => Err(Error::new("ERR The specified keys must contain string values")),
    };
    let (first, second) = (read(1)?, read(2)?);
    let options = Options::parse(args)?;
    let lengths = Lengths::new(&first, &second)?;
    let total = lengths.at(first.len(), second.len()) as usize;
    if options.wants_length {
        return Ok(Value::from(total));
    }
    let (text, runs) = trace(&first, &second, &lengths, total);
    if !options.wants_indices {
        return Ok(Value::Bulk(text));
    }
    let range =
        |start: usize, length: usize| Value::Array(vec![Value::from(start), Value::from(start + length - 1)]);
    let wanted = runs.into_iter().filter(|run| run.length >= options.length_min);
    let matches = wanted.map(|run| {
        let mut fields = vec![range(run.first, run.length), range(run.second, run.length)];
        if options.with_lengths {
            fields.push(Value::from(run.length));
        }
        Value::Array(fields)
    });
    Ok(Value::Map(vec![
        (Value::from("matches"), Value::Array(matches.collect())),
        (Value::from("len"), Value::from(total)),
    ]))
}

/// The lengths for all pairs of prefixes.
struct Lengths {
    width: usize,
    cells: Vec<u32>,
}

impl Lengths {
    /// Refused where the table would be longer than a string may be: two long strings ask for memory by their product.
    fn new(first: &[u8], second: &[u8]) -> Result<Self> {
        let width = second.len() + 1;
        let count =
            (first.len() + 1).checked_mul(width).filter(|count| *count <= STRING_MAX / size_of::<u32>());
        let count = count.ok_or_else(|| {
            Error::new("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
        })?;
        let mut table = Self { width, cells: vec![0; count] };
        for (i, a) in first.iter().enumerate() {
            for (j, b) in second.iter().enumerate() {
                table.cells[(i + 1) * width + j + 1] =
                    if a == b { table.at(i, j) + 1 } else { table.at(i, j + 1).max(table.at(i + 1, j)) };
            }
        }
        Ok(table)
    }

    fn at(&self, first: usize, second: usize) -> u32 {
        self.cells[first * self.width + second]
    }
}

/// A part that both strings have: where it starts in each, and its length.
struct Run {
    first: usize,
    second: usize,
    length: usize,
}

/// Goes back from the end along the longest way. Runs come the last one first, as Redis gives them.
fn trace(first: &[u8], second: &[u8], lengths: &Lengths, total: usize) -> (Vec<u8>, Vec<Run>) {
    let mut text = Vec::with_capacity(total);
    let mut runs = Vec::new();
    let mut open: Option<Run> = None;
    let (mut i, mut j) = (first.len(), second.len());
    while i > 0 && j > 0 {
        if first[i - 1] == second[j - 1] {
            (i, j) = (i - 1, j - 1);
            text.push(first[i]);
            let length = open.as_ref().map_or(0, |run| run.length);
            open = Some(Run { first: i, second: j, length: length + 1 });
        } else {
            runs.extend(open.take());
            if lengths.at(i - 1, j) > lengths.at(i, j - 1) { i -= 1 } else { j -= 1 }
        }
    }
    runs.extend(open);
    text.reverse();
    (text, runs)
}
