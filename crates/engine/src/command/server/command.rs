//! COMMAND: the table of commands, told to clients.

use windlass_resp::Value;

use crate::command::container::{Subcommand, dispatch};
use crate::command::{Answer, Command, Flags, Keys, all, find};
use crate::error::Error;
use crate::pattern;
use crate::state::Call;

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { name: "count", arity: 2, usage: "", summary: "How many commands there are.", run: count },
    Subcommand { name: "docs", arity: -2, usage: "[<command> ...]", summary: "What commands do.", run: docs },
    Subcommand {
        name: "getkeys",
        arity: -4,
        usage: "<command> [<arg> ...]",
        summary: "The keys of a whole command.",
        run: getkeys,
    },
    Subcommand {
        name: "info",
        arity: -2,
        usage: "[<command> ...]",
        summary: "How commands behave.",
        run: info,
    },
    Subcommand {
        name: "list",
        arity: -2,
        usage: "[FILTERBY (MODULE <name> | ACLCAT <category> | PATTERN <pattern>)]",
        summary: "The names of commands.",
        run: list,
    },
];

pub fn command(call: &mut Call<'_>) -> Answer {
    if call.args.len() == 1 {
        return Ok(Value::Array(all().map(describe).collect()));
    }
    dispatch(call, SUBCOMMANDS)
}

fn count(_: &mut Call<'_>) -> Answer {
    Ok(Value::from(all().count()))
}

fn info(call: &mut Call<'_>) -> Answer {
    if call.args.len() == 2 {
        return Ok(Value::Array(all().map(describe).collect()));
    }
    let named = call.args.from(2).iter().map(|name| find(name).map_or(Value::Nil, describe));
    Ok(Value::Array(named.collect()))
}

fn docs(call: &mut Call<'_>) -> Answer {
    let commands: Vec<&Command> = if call.args.len() == 2 {
        all().collect()
    } else {
        call.args.from(2).iter().filter_map(|name| find(name)).collect()
    };
    let doc = |command: &Command| {
        let fields = [("summary", command.summary), ("group", command.group)]
            .map(|(k, v)| (Value::from(k), Value::from(v)));
        (Value::from(command.name), Value::Map(fields.into()))
    };
    Ok(Value::Map(commands.into_iter().map(doc).collect()))
}

fn getkeys(call: &mut Call<'_>) -> Answer {
    let args = call.args.from(2);
    let command = find(args[0]).ok_or_else(|| Error::new("ERR Invalid command specified"))?;
    if command.keys == Keys::None {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if !command.accepts(args.len()) {
        return Err(Error::new("ERR Invalid number of arguments specified for command"));
    }
    let keys = command.keys(args).map_err(|_| Error::new("ERR Invalid arguments specified for command"))?;
    Ok(Value::Array(keys.into_iter().map(Value::bulk).collect()))
}

fn list(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let is_listed: Box<dyn Fn(&Command) -> bool> = match (args.len(), args.is(2, "FILTERBY")) {
        (2, _) => Box::new(|_| true),
        (5, true) => {
            let wanted = args[4];
            match args.word(3).as_str() {
                "PATTERN" => Box::new(move |command| pattern::matches(wanted, command.name.as_bytes())),
                "ACLCAT" => {
                    let category = format!("@{}", String::from_utf8_lossy(wanted).to_ascii_lowercase());
                    Box::new(move |command| categories(command).contains(&category.as_str()))
                }
                // There are no modules.
                "MODULE" => Box::new(|_| false),
                _ => return Err(Error::SYNTAX),
            }
        }
        _ => return Err(Error::SYNTAX),
    };
    let names = all().filter(|command| is_listed(command)).map(|command| Value::from(command.name));
    Ok(Value::Array(names.collect()))
}

/// Name, arity, flags, first key, last key, step, categories; hints, key specifications and subcommands are not told.
fn describe(command: &'static Command) -> Value {
    let (first, last, step) = match command.keys {
        Keys::Range(first, last, step) => (first, last, step),
        Keys::StoreCounted(_) => (1, 1, 1),
        Keys::None | Keys::Counted(_) | Keys::Streams => (0, 0, 0),
    };
    let number = |number: i8| Value::Integer(number.into());
    let words = |words: Vec<&'static str>| {
        Value::Set(words.into_iter().map(|word| Value::Simple(word.into())).collect())
    };
    let mut flags = command.flags.names();
    if !matches!(command.keys, Keys::None | Keys::Range(..)) {
        flags.push("movablekeys");
    }
    Value::Array(vec![
        Value::from(command.name),
        number(command.arity),
        words(flags),
        number(first),
        number(last),
        number(step),
        words(categories(command)),
        Value::Array(Vec::new()),
        Value::Array(Vec::new()),
        Value::Array(Vec::new()),
    ])
}

/// The access-control categories that a command is in.
fn categories(command: &Command) -> Vec<&'static str> {
    let by_flag = [
        (Flags::WRITE, "@write"),
        (Flags::READONLY, "@read"),
        (Flags::FAST, "@fast"),
        (Flags::BLOCKING, "@blocking"),
        (Flags::ADMIN, "@admin"),
        (Flags::ADMIN, "@dangerous"),
    ];
    let mut found: Vec<&'static str> =
        by_flag.iter().filter(|(flag, _)| command.flags.has(*flag)).map(|(_, name)| *name).collect();
    if !command.flags.has(Flags::FAST) {
        found.push("@slow");
    }
    found.extend(match command.group {
        "generic" => Some("@keyspace"),
        "string" => Some("@string"),
        "list" => Some("@list"),
        "set" => Some("@set"),
        "hash" => Some("@hash"),
        "sorted-set" => Some("@sortedset"),
        "stream" => Some("@stream"),
        "pubsub" => Some("@pubsub"),
        "transactions" => Some("@transaction"),
        "connection" => Some("@connection"),
        "scripting" => Some("@scripting"),
        _ => None,
    });
    found
}
