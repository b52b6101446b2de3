//! The library `cjson`: JSON, as Lua CJSON 2.1 reads and writes it.

use std::sync::{Arc, Mutex, PoisonError};

use mlua::{Lua, MultiValue, Table, Value};

use super::super::arguments::Arguments;
use super::Library;

mod decode;
mod encode;
mod token;

/// What scripts may set. As in Redis the settings outlive the script.
#[derive(Clone, Copy, Debug)]
struct Settings {
    /// Whether an array that is too sparse becomes an object, or is an error.
    sparse_converts: bool,
    sparse_ratio: i64,
    sparse_safe: i64,
    encode_depth_max: usize,
    decode_depth_max: usize,
    precision: usize,
    keeps_buffer: bool,
    encode_invalid: Invalid,
    decodes_invalid: bool,
}

/// What becomes of numbers that JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_converts: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: DEPTH_MAX,
            decode_depth_max: DEPTH_MAX,
            precision: PRECISION_MAX,
            keeps_buffer: true,
            encode_invalid: Invalid::Refused,
            decodes_invalid: true,
        }
    }
}

/// The deepest text, and the most that a script may set; Lua CJSON itself would let it be set to what overflows the
/// stack.
const DEPTH_MAX: usize = 1000;
/// The most digits of a number, and the default.
const PRECISION_MAX: usize = 14;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Settings>>);

impl Shared {
    fn get(&self) -> Settings {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A fresh instance, with settings of its own.
pub fn library(lua: &Lua) -> mlua::Result<Table> {
    let shared = Shared::default();
    let own = || shared.clone();
    let (encode, decode, sparse, encode_depth) = (own(), own(), own(), own());
    let (decode_depth, precision, buffer) = (own(), own(), own());
    let (encode_invalid, decode_invalid) = (own(), own());
    let library = Library::new(lua)?
        .with("encode", move |lua, args| encode::encode(&Arguments::new(lua, "encode", args), &encode.get()))?
        .with("decode", move |lua, args| decode::decode(&Arguments::new(lua, "decode", args), &decode.get()))?
        .with("encode_sparse_array", move |lua, args| encode_sparse_array(lua, args, &sparse))?
        .with("encode_max_depth", move |lua, args| {
            let args = Arguments::new(lua, "encode_max_depth", args);
            too_many(&args, 1)?;
            set_number(
                &args,
                1,
                1,
                i64::from(i32::MAX),
                encode_depth.get().encode_depth_max as i64,
                |depth| {
                    encode_depth
                        .change(|settings| settings.encode_depth_max = (depth as usize).min(DEPTH_MAX));
                },
            )
        })?
        .with("decode_max_depth", move |lua, args| {
            let args = Arguments::new(lua, "decode_max_depth", args);
            too_many(&args, 1)?;
            set_number(
                &args,
                1,
                1,
                i64::from(i32::MAX),
                decode_depth.get().decode_depth_max as i64,
                |depth| {
                    decode_depth
                        .change(|settings| settings.decode_depth_max = (depth as usize).min(DEPTH_MAX));
                },
            )
        })?
        .with("encode_number_precision", move |lua, args| {
            let args = Arguments::new(lua, "encode_number_precision", args);
            too_many(&args, 1)?;
            set_number(&args, 1, 1, PRECISION_MAX as i64, precision.get().precision as i64, |digits| {
                precision.change(|settings| settings.precision = digits as usize);
            })
        })?
        .with("encode_keep_buffer", move |lua, args| {
            let args = Arguments::new(lua, "encode_keep_buffer", args);
            too_many(&args, 1)?;
            set_option(&args, &[], |keeps| buffer.change(|settings| settings.keeps_buffer = keeps == "on"))?;
            Ok(buffer.get().keeps_buffer)
        })?
        .with("encode_invalid_numbers", move |lua, args| encode_invalid_numbers(lua, args, &encode_invalid))?
        .with("decode_invalid_numbers", move |lua, args| {
            let args = Arguments::new(lua, "decode_invalid_numbers", args);
            too_many(&args, 1)?;
            set_option(&args, &["off", "on"], |choice| {
                decode_invalid.change(|settings| settings.decodes_invalid = choice == "on");
            })?;
            Ok(decode_invalid.get().decodes_invalid)
        })?
        .with("new", |lua, _| library(lua))?
        .value("null", Value::NULL)?
        .value("_NAME", "cjson")?
        .value("_VERSION", "2.1.0")?;
    Ok(library.finish())
}

fn encode_sparse_array(lua: &Lua, args: &MultiValue, shared: &Shared) -> mlua::Result<(bool, i64, i64)> {
    let args = Arguments::new(lua, "encode_sparse_array", args);
    too_many(&args, 3)?;
    set_option(&args, &[], |converts| shared.change(|settings| settings.sparse_converts = converts == "on"))?;
    let limit = i64::from(i32::MAX);
    let ratio = set_number(&args, 2, 0, limit, shared.get().sparse_ratio, |ratio| {
        shared.change(|settings| settings.sparse_ratio = ratio);
    })?;
    let safe = set_number(&args, 3, 0, limit, shared.get().sparse_safe, |safe| {
        shared.change(|settings| settings.sparse_safe = safe);
    })?;
    Ok((shared.get().sparse_converts, ratio, safe))
}

fn encode_invalid_numbers(lua: &Lua, args: &MultiValue, shared: &Shared) -> mlua::Result<Value> {
    let args = Arguments::new(lua, "encode_invalid_numbers", args);
    too_many(&args, 1)?;
    set_option(&args, &["off", "on", "null"], |choice| {
        shared.change(|settings| {
            settings.encode_invalid = match choice {
                "null" => Invalid::Null,
                "on" => Invalid::Written,
                _ => Invalid::Refused,
            }
        });
    })?;
    match shared.get().encode_invalid {
        Invalid::Null => lua.create_string("null").map(Value::String),
        choice => Ok(Value::Boolean(choice == Invalid::Written)),
    }
}

fn too_many(args: &Arguments<'_>, most: usize) -> mlua::Result<()> {
    if args.len() > most {
        return Err(args.error(most + 1, "found too many arguments"));
    }
    Ok(())
}

/// Sets a number when one is given; answers what is set then.
fn set_number(
    args: &Arguments<'_>,
    position: usize,
    least: i64,
    most: i64,
    present: i64,
    set: impl FnOnce(i64),
) -> mlua::Result<i64> {
    if args.given(position).is_none() {
        return Ok(present);
    }
    let number = args.integer(position)?;
    if !(least..=most).contains(&number) {
        // Lua CJSON names the first argument here, whichever it was.
        return Err(args.error(1, format_args!("expected integer between {least} and {most}")));
    }
    set(number);
    Ok(number)
}

/// Sets a choice when the first argument gives one: a boolean, which stands for `on` and `off`, or one of `choices`.
fn set_option(args: &Arguments<'_>, choices: &[&str], set: impl FnOnce(&str)) -> mlua::Result<()> {
    match args.given(1) {
        None => {}
        Some(Value::Boolean(yes)) => set(if *yes { "on" } else { "off" }),
        Some(_) => {
            let text = args.string(1)?.to_string_lossy();
            if !choices.contains(&text.as_str()) {
                return Err(args.error(1, format_args!("invalid option '{text}'")));
            }
            set(&text);
        }
    }
    Ok(())
}
