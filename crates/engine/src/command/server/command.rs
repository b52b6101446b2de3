//! COMMAND: the table of commands, told to clients.

use windlass_resp::Value;

use super::{GROUP, usage};
use crate::args::Args;
use crate::command::category::categories;
use crate::command::own::Table;
use crate::command::{Answer, Command, Keys, docs};
use crate::error::{Error, Result};
use crate::pattern;
use crate::state::Call;

pub const SUBCOMMANDS: &[Command] = &[
    GROUP.sub(
        "command|count",
        2,
        flags![LOADING, STALE],
        Keys::None,
        "",
        "How many commands there are.",
        count,
    ),
    GROUP.sub(
        "command|docs",
        -2,
        flags![LOADING, STALE],
        Keys::None,
        "[<command> ...]",
        "What commands do.",
        docs,
    ),
    GROUP.sub(
        "command|getkeys",
        -4,
        flags![LOADING, STALE],
        Keys::None,
        "<command> [<arg> ...]",
        "The keys of a whole command.",
        getkeys,
    ),
    GROUP.sub(
        "command|getkeysandflags",
        -4,
        flags![LOADING, STALE],
        Keys::None,
        "<command> [<arg> ...]",
        "The keys of a whole command, and what it does with each.",
        getkeysandflags,
    ),
    GROUP.help("command|help"),
    GROUP.sub(
        "command|info",
        -2,
        flags![LOADING, STALE],
        Keys::None,
        "[<command> ...]",
        "How commands behave.",
        info,
    ),
    GROUP.sub(
        "command|list",
        -2,
        flags![LOADING, STALE],
        Keys::None,
        "[FILTERBY (MODULE <name> | ACLCAT <category> | PATTERN <pattern>)]",
        "The names of commands.",
        list,
    ),
];

/// COMMAND without more is COMMAND INFO of all.
pub fn command(call: &mut Call<'_>) -> Answer {
    info(call)
}

fn count(call: &mut Call<'_>) -> Answer {
    Ok(Value::from(call.state.commands.all().count()))
}

fn info(call: &mut Call<'_>) -> Answer {
    if call.args.len() <= 2 {
        return Ok(Value::Array(call.state.commands.all().map(describe).collect()));
    }
    let commands = &call.state.commands;
    let named = call.args.from(2).iter().map(|name| find_full(commands, name).map_or(Value::Nil, describe));
    Ok(Value::Array(named.collect()))
}

/// The command of this name; that of a subcommand begins with the container's and a bar.
fn find_full(commands: &Table, name: &[u8]) -> Option<&'static Command> {
    match name.iter().position(|byte| *byte == b'|') {
        Some(bar) => {
            let (container, subcommand) = (&name[..bar], &name[bar + 1..]);
            let container_row = commands.find(container).filter(|command| !command.subcommands.is_empty())?;
            container_row.descend(Args(&[container, subcommand])).ok()
        }
        None => commands.find(name),
    }
}

fn docs(call: &mut Call<'_>) -> Answer {
    let commands: Vec<&Command> = if call.args.len() == 2 {
        call.state.commands.all().collect()
    } else {
        call.args.from(2).iter().filter_map(|name| find_full(&call.state.commands, name)).collect()
    };
    Ok(Value::Map(commands.into_iter().map(docs::of).collect()))
}

fn getkeys(call: &mut Call<'_>) -> Answer {
    let (_, keys) = keys_of(call)?;
    Ok(Value::Array(keys.into_iter().map(Value::bulk).collect()))
}

fn getkeysandflags(call: &mut Call<'_>) -> Answer {
    let (command, keys) = keys_of(call)?;
    let args = Args(call.args.from(2));
    let pairs = keys.into_iter().enumerate().map(|(place, key)| {
        let words = usage::of(command, args, place).iter().map(|word| Value::Simple((*word).into()));
        Value::Array(vec![Value::bulk(key), Value::Set(words.collect())])
    });
    Ok(Value::Array(pairs.collect()))
}

/// The command that the arguments are, and its keys.
fn keys_of<'a>(call: &Call<'a>) -> Result<(&'static Command, Vec<&'a [u8]>)> {
    let args = Args(call.args.from(2));
    let command = call.state.commands.find(args[0]).and_then(|command| command.descend(args).ok());
    let command = command.ok_or_else(|| Error::new("ERR Invalid command specified"))?;
    if command.keys == Keys::None {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if !command.accepts(args.len()) {
        return Err(Error::new("ERR Invalid number of arguments specified for command"));
    }
    let keys = command.keys(args.0).map_err(|_| Error::new("ERR Invalid arguments specified for command"))?;
    Ok((command, keys))
}

fn list(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let is_listed: Filter<'_> = match (args.len(), args.is(2, "FILTERBY")) {
        (2, _) => Box::new(|_| true),
        (5, true) => filter(args)?,
        _ => return Err(Error::SYNTAX),
    };
    let with_subcommands =
        call.state.commands.all().flat_map(|command| [command].into_iter().chain(command.subcommands));
    let names =
        with_subcommands.filter(|command| is_listed(command)).map(|command| Value::from(command.name));
    Ok(Value::Array(names.collect()))
}

/// Tells which commands are let through.
type Filter<'a> = Box<dyn Fn(&Command) -> bool + 'a>;

/// What FILTERBY lets through.
fn filter(args: Args<'_>) -> Result<Filter<'_>> {
    let wanted = args[4];
    Ok(match args.word(3).as_str() {
        "PATTERN" => {
            Box::new(move |command| pattern::matches(&wanted.to_ascii_lowercase(), command.name.as_bytes()))
        }
        "ACLCAT" => Box::new(move |command| {
            categories(command).iter().any(|category| wanted.eq_ignore_ascii_case(category.as_bytes()))
        }),
        // There are no modules.
        "MODULE" => Box::new(|_| false),
        _ => return Err(Error::SYNTAX),
    })
}

/// Name, arity, flags, first key, last key, step, categories and subcommands; hints and key specifications are not told.
fn describe(command: &'static Command) -> Value {
    let (first, last, step) = match command.keys {
        Keys::Range(first, last, step) => (first, last, step),
        Keys::StoreCounted(_) | Keys::Sort => (1, 1, 1),
        Keys::None | Keys::Counted(_) | Keys::Streams => (0, 0, 0),
    };
    let number = |number: i8| Value::Integer(number.into());
    let word = |word: &str| Value::Simple(word.to_owned().into());
    let mut flags = command.flags.names();
    if !matches!(command.keys, Keys::None | Keys::Range(..)) {
        flags.push("movablekeys");
    }
    Value::Array(vec![
        Value::from(command.name),
        number(command.arity),
        Value::Set(flags.into_iter().map(word).collect()),
        number(first),
        number(last),
        number(step),
        Value::Set(categories(command).into_iter().map(|name| word(&format!("@{name}"))).collect()),
        Value::Array(Vec::new()),
        Value::Array(Vec::new()),
        Value::Array(command.subcommands.iter().map(describe).collect()),
    ])
}
