//! How the command answers: tables for people, JSON for programs. Standard output may be a pipe that is closed, or a full
//! disk, so that whatever writes to it answers whether it could.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use anyhow::anyhow;
use serde::Serialize;
use windlass::Pushed;

use crate::exit::{CLOSED_PIPE, FAILURE, Failure, Result};

/// Prints a line.
pub fn line(text: impl Display) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").map_err(unwritten)
}

/// Prints text as it is.
pub fn text(text: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(text).and_then(|()| stdout.flush()).map_err(unwritten)
}

/// Says something beside the answer. When nobody can be told, the work goes on.
pub fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// How a run ends whose answer could not be written: quietly when whoever read it has seen enough.
pub fn unwritten(error: std::io::Error) -> Failure {
    let code = if error.kind() == std::io::ErrorKind::BrokenPipe { CLOSED_PIPE } else { FAILURE };
    Failure::new(code, anyhow!("the answer could not be written to standard output ({error})"))
}

/// Prints a value as one line of JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    line(serde_json::to_string(value)?)
}

/// Says what was done: a sentence, or its JSON. When that cannot be written, standard error has the sentence: nobody is to
/// do it a second time.
pub fn done(is_json: bool, sentence: &str, value: &serde_json::Value) -> Result<()> {
    let said = if is_json { json(value) } else { line(sentence) };
    said.inspect_err(|_| note(format_args!("done all the same: {sentence}")))
}

/// Answers the id of a job that was pushed, or was there already, as [`done`] does.
pub fn pushed(is_json: bool, id: &str, pushed: Pushed) -> Result<()> {
    let what = match pushed {
        Pushed::Kept => "kept",
        Pushed::Replaced => "replaced",
        _ => "new",
    };
    let said = if is_json { json(&serde_json::json!({ "id": id, "pushed": what })) } else { line(id) };
    said.inspect_err(|_| {
        note(format_args!("the job {id} was pushed all the same; to push again would make a second one"))
    })
}

/// Prints rows under a heading, columns aligned.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heading[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let print = |cells: [&str; N]| {
        let line: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        self::line(line.join("  ").trim_end())
    };
    print(heading)?;
    rows.iter().try_for_each(|row| print(std::array::from_fn(|column| row[column].as_str())))
}

/// Says on a terminal what is going on; the next call overwrites it, an empty one clears it.
pub fn progress(step: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Progress is for whoever looks on; when nobody can be told, the work goes on.
        let _ = write!(stderr, "\r\x1b[K{step}{}", if step.is_empty() { "" } else { " …" });
        let _ = stderr.flush();
    }
}
