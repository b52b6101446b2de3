//! `math.random` with a seed: Lua's own draws from one generator of the whole process.

use mlua::{Lua, MultiValue, Table, Value};

use super::super::arguments::Arguments;
use super::super::machine::relaxed;
use super::super::raise;

/// What Redis divides a draw by.
const RANGE: i64 = i32::MAX as i64;

/// The generator of `lrand48`, which Redis uses on every machine: a script that seeds it draws the same numbers.
struct Generator(u64);

impl Generator {
    fn seeded(seed: u64) -> Self {
        Self((seed & 0xffff_ffff) << 16 | 0x330e)
    }

    fn next(&mut self) -> i64 {
        self.0 = self.0.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & 0xffff_ffff_ffff;
        (self.0 >> 17) as i64
    }
}

pub fn prepare(lua: &Lua, seed: u64) {
    lua.set_app_data(Generator::seeded(seed ^ (seed >> 32)));
}

pub fn register(lua: &Lua, native: &Table) -> mlua::Result<()> {
    let random = lua.create_function(|lua, args: MultiValue| relaxed(lua, || random(lua, &args)))?;
    native.raw_set("random", random)?;
    let seed = lua.create_function(|lua, args: MultiValue| relaxed(lua, || seed(lua, &args)))?;
    native.raw_set("randomseed", seed)
}

fn random(lua: &Lua, args: &MultiValue) -> mlua::Result<f64> {
    let drawn = lua.app_data_mut::<Generator>().map_or(0, |mut generator| generator.next());
    let fraction = (drawn % RANGE) as f64 / RANGE as f64;
    let args = Arguments::new(lua, "random", args);
    match args.len() {
        0 => Ok(fraction),
        1 => {
            let last = args.integer(1)?;
            if last < 1 {
                return Err(args.error(1, "interval is empty"));
            }
            Ok((fraction * last as f64).floor() + 1.0)
        }
        2 => {
            let (first, last) = (args.integer(1)?, args.integer(2)?);
            if first > last {
                return Err(args.error(2, "interval is empty"));
            }
            Ok((fraction * (last as f64 - first as f64 + 1.0)).floor() + first as f64)
        }
        _ => Err(raise::text(lua, "wrong number of arguments")),
    }
}

fn seed(lua: &Lua, args: &MultiValue) -> mlua::Result<Value> {
    let seed = Arguments::new(lua, "randomseed", args).integer(1)?;
    lua.set_app_data(Generator::seeded(seed as u64));
    Ok(Value::Nil)
}
