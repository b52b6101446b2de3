//! Sets: one string for each member, an intset or a listpack.

use super::super::error::Result;
use super::super::format::kind;
use super::super::input::Input;
use super::super::length::decimal;
use super::super::packed::{decode_intset, decode_listpack};
use super::{Packed, malformed};
use crate::types::Set;

pub fn read(input: &mut Input<'_>, kind: u8, seed: u64) -> Result<Set> {
    let mut set = Set::new(seed);
    let offset = input.offset();
    let mut add = |member: &[u8]| {
        if set.add(member) { Ok(()) } else { Err(malformed(offset, "a member of a set is there twice")) }
    };
    match kind {
        kind::SET_INTSET => {
            let packed = Packed::read(input)?;
            packed.decode(decode_intset)?.into_iter().try_for_each(|integer| add(&decimal(integer)))?;
        }
        kind::SET_LISTPACK => {
            let packed = Packed::read(input)?;
            packed.decode(decode_listpack)?.into_iter().try_for_each(|item| add(&item.text()))?;
        }
        _ => {
            for _ in 0..input.length()? {
                add(&input.string()?)?;
            }
        }
    }
    Ok(set)
}
