//! How the command answers: tables for people, JSON for programs.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::exit::Result;

/// Prints a value as one line of JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// Prints rows under a heading, columns aligned.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heading[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let print = |cells: [&str; N]| {
        let line: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", line.join("  ").trim_end());
    };
    print(heading);
    for row in rows {
        print(std::array::from_fn(|column| row[column].as_str()));
    }
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
