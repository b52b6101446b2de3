//! Hashes: two strings for each field, a zipmap, a ziplist or a listpack.

use super::super::error::Result;
use super::super::format::kind;
use super::super::input::Input;
use super::super::packed::{decode_listpack, decode_ziplist, decode_zipmap};
use super::{Packed, malformed};
use crate::types::{Hash, Put};

pub fn read(input: &mut Input<'_>, kind: u8, seed: u64) -> Result<Hash> {
    let mut hash = Hash::new(seed);
    let offset = input.offset();
    let mut set = |field: &[u8], value: &[u8]| match hash.set(field, value) {
        Put::Added => Ok(()),
        _ => Err(malformed(offset, "a field of a hash is there twice")),
    };
    if kind == kind::HASH {
        for _ in 0..input.length()? {
            set(&input.string()?, &input.string()?)?;
        }
        return Ok(hash);
    }
    let packed = Packed::read(input)?;
    let pairs = match kind {
        kind::HASH_ZIPMAP => packed.pairs(decode_zipmap)?,
        kind::HASH_ZIPLIST => packed.pairs(decode_ziplist)?,
        _ => packed.pairs(decode_listpack)?,
    };
    pairs.into_iter().try_for_each(|[field, value]| set(&field.text(), &value.text()))?;
    Ok(hash)
}
