//! Commands that are a family of subcommands, such as CLIENT and CONFIG. A subcommand is a row of its own, and HELP answers
//! from the rows.

use windlass_resp::Value;

use super::{Answer, Command};
use crate::args::Args;
use crate::error::{Error, Result};
use crate::state::Call;

impl Command {
    /// The name without that of the container.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit_once('|').map_or(self.name, |(_, name)| name)
    }

    /// The subcommand that `args` name, or the command itself where it has none or none is named.
    pub(crate) fn descend(&'static self, args: Args<'_>) -> Result<&'static Self> {
        let Some(given) = args.get(1).filter(|_| !self.subcommands.is_empty()) else { return Ok(self) };
        let mut rows = self.subcommands.iter();
        rows.find(|row| given.eq_ignore_ascii_case(row.short_name().as_bytes()))
            .ok_or_else(|| Error::unknown_subcommand(self.name, given))
    }

    /// The name of the container, for a subcommand.
    pub fn container(&self) -> Option<&'static str> {
        self.name.split_once('|').map(|(container, _)| container)
    }
}

/// A container without a subcommand.
pub fn missing(call: &mut Call<'_>) -> Answer {
    Err(Error::arity(call.command.name))
}

pub fn help(call: &mut Call<'_>) -> Answer {
    let name = call.command.container().expect("HELP is a subcommand");
    let container = super::find(name.as_bytes()).expect("a subcommand has its container");
    let first =
        format!("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name.to_ascii_uppercase());
    let mut lines = vec![first];
    for row in container.subcommands {
        let usage = format!("{} {}", row.short_name().to_ascii_uppercase(), row.usage);
        lines.push(usage.trim_end().to_owned());
        lines.push(format!("    {}", row.summary));
    }
    Ok(Value::Array(lines.into_iter().map(|line| Value::Simple(line.into())).collect()))
}
