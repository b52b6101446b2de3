//! From JSON to values of Lua.

use mlua::{Lua, LuaString, Table, Value};

use super::super::super::arguments::Arguments;
use super::super::super::machine::check_memory;
use super::super::super::raise;
use super::Settings;
use super::token::{Lexer, Token};

/// How many tables are read between two looks at the memory.
const MEMORY_CHECK_PERIOD: usize = 1024;

/// What a value counts in the script's budget, in instructions of Lua.
const ITEM_COST: u64 = 10;

pub fn decode(args: &Arguments<'_>, settings: &Settings) -> mlua::Result<Value> {
    if args.len() != 1 {
        return Err(args.error(1, "expected 1 argument"));
    }
    let text = args.string(1)?.as_bytes();
    if matches!(*text, [0, _, ..] | [_, 0, ..]) {
        return Err(raise::text(args.lua, "JSON parser does not support UTF-16 or UTF-32"));
    }
    raise::spend_bytes(text.len())?;
    let lexer = Lexer::new(&text, settings.decodes_invalid);
    let mut decoder = Decoder { lua: args.lua, lexer, depth_max: settings.decode_depth_max, tables: 0 };
    decoder.document().map_err(|problem| match problem {
        Problem::Text(reason) => raise::text(args.lua, reason),
        Problem::Lua(error) => error,
    })
}

/// Why a text could not be read.
enum Problem {
    Text(String),
    Lua(mlua::Error),
}

impl From<mlua::Error> for Problem {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

struct Decoder<'a> {
    lua: &'a Lua,
    lexer: Lexer<'a>,
    depth_max: usize,
    tables: usize,
}

/// An array or an object that is being read.
struct Frame {
    table: Table,
    slot: Slot,
}

/// Where the next value goes.
enum Slot {
    Index(i64),
    Key(LuaString),
}

impl Decoder<'_> {
    /// Reads the whole text. Values within values are a list here, not calls: the text decides how deep they are.
    fn document(&mut self) -> Result<Value, Problem> {
        let mut frames: Vec<Frame> = Vec::new();
        let mut token = self.lexer.next();
        loop {
            raise::spend(ITEM_COST)?;
            let mut value = match token {
                Token::String(bytes) => Value::String(self.lua.create_string(&bytes)?),
                Token::Number(number) => Value::Number(number),
                Token::Boolean(yes) => Value::Boolean(yes),
                Token::Null => Value::NULL,
                Token::ArrayBegin => {
                    let table = self.open(&frames)?;
                    token = self.lexer.next();
                    if !matches!(token, Token::ArrayEnd) {
                        frames.push(Frame { table, slot: Slot::Index(1) });
                        continue;
                    }
                    Value::Table(table)
                }
                Token::ObjectBegin => {
                    let table = self.open(&frames)?;
                    token = self.lexer.next();
                    if !matches!(token, Token::ObjectEnd) {
                        let key = self.key(&token)?;
                        frames.push(Frame { table, slot: Slot::Key(key) });
                        token = self.lexer.next();
                        continue;
                    }
                    Value::Table(table)
                }
                other => return Err(self.expected("value", &other)),
            };
            // The value may complete what it is in, and that what is around it.
            loop {
                let Some(Frame { table, slot }) = frames.last_mut() else {
                    return match self.lexer.next() {
                        Token::End => Ok(value),
                        other => Err(self.expected("the end", &other)),
                    };
                };
                token = self.lexer.next();
                match slot {
                    Slot::Index(index) => {
                        table.raw_set(*index, value)?;
                        *index += 1;
                        match token {
                            Token::Comma => {}
                            Token::ArrayEnd => {
                                value = close(&mut frames);
                                continue;
                            }
                            other => return Err(self.expected("comma or array end", &other)),
                        }
                    }
                    Slot::Key(key) => {
                        table.raw_set(&*key, value)?;
                        match token {
                            Token::Comma => {
                                let token = self.lexer.next();
                                *key = self.key(&token)?;
                            }
                            Token::ObjectEnd => {
                                value = close(&mut frames);
                                continue;
                            }
                            other => return Err(self.expected("comma or object end", &other)),
                        }
                    }
                }
                token = self.lexer.next();
                break;
            }
        }
    }

    fn open(&mut self, frames: &[Frame]) -> Result<Table, Problem> {
        let depth = frames.len() + 1;
        if depth > self.depth_max {
            let at = self.lexer.position();
            return Err(Problem::Text(format!(
                "Found too many nested data structures ({depth}) at character {at}"
            )));
        }
        self.tables += 1;
        if self.tables.is_multiple_of(MEMORY_CHECK_PERIOD) {
            check_memory(self.lua)?;
        }
        Ok(self.lua.create_table()?)
    }

    /// An object's key, and the colon that follows.
    fn key(&mut self, token: &Token<'_>) -> Result<LuaString, Problem> {
        let Token::String(bytes) = token else { return Err(self.expected("object key string", token)) };
        let key = self.lua.create_string(bytes)?;
        match self.lexer.next() {
            Token::Colon => Ok(key),
            other => Err(self.expected("colon", &other)),
        }
    }

    fn expected(&self, wanted: &str, found: &Token<'_>) -> Problem {
        let (found, at) = (found.name(), self.lexer.token_start() + 1);
        Problem::Text(format!("Expected {wanted} but found {found} at character {at}"))
    }
}

fn close(frames: &mut Vec<Frame>) -> Value {
    Value::Table(frames.pop().expect("a value was just put in it").table)
}
