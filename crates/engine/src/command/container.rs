//! Commands that are a family of subcommands, such as CLIENT and CONFIG: one table each, from which HELP answers.

use windlass_resp::Value;

use super::Answer;
use crate::error::Error;
use crate::state::Call;

/// A row of a container's table.
pub struct Subcommand {
    /// In lower case.
    pub name: &'static str,
    /// The number of arguments with container and name; negative for at least so many.
    pub arity: i8,
    /// Its arguments, as HELP shows them.
    pub usage: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    pub run: fn(&mut Call<'_>) -> Answer,
}

impl Subcommand {
    fn accepts(&self, count: usize) -> bool {
        let arity = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { count >= arity } else { count == arity }
    }
}

/// Runs the subcommand that the call's first argument names.
pub fn dispatch(call: &mut Call<'_>, table: &[Subcommand]) -> Answer {
    let container = call.command.name;
    let Some(given) = call.args.get(1) else { return Err(Error::arity(container)) };
    if call.args.is(1, "HELP") {
        return if call.args.len() == 2 {
            Ok(help(container, table))
        } else {
            Err(Error::arity(&format!("{container}|help")))
        };
    }
    let found = table.iter().find(|row| given.eq_ignore_ascii_case(row.name.as_bytes()));
    let row = found.ok_or_else(|| Error::unknown_subcommand(container, given))?;
    if !row.accepts(call.args.len()) {
        return Err(Error::arity(&format!("{container}|{}", row.name)));
    }
    (row.run)(call)
}

fn help(container: &str, table: &[Subcommand]) -> Value {
    let mut lines = vec![format!(
        "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        container.to_ascii_uppercase()
    )];
    for row in table {
        lines.push(format!("{} {}", row.name.to_ascii_uppercase(), row.usage).trim_end().to_owned());
        lines.push(format!("    {}", row.summary));
    }
    lines.push("HELP".into());
    lines.push("    Print this help.".into());
    Value::Array(lines.into_iter().map(|line| Value::Simple(line.into())).collect())
}
