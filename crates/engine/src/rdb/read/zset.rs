//! Sorted sets: a string and a score for each member, a ziplist or a listpack.

use super::super::error::Result;
use super::super::format::kind;
use super::super::input::Input;
use super::super::packed::{decode_listpack, decode_ziplist};
use super::{Packed, malformed};
use crate::number::parse_any_float;
use crate::types::SortedSet;

/// Lengths of a score as text that are scores themselves.
const NAN: u8 = 253;
const POSITIVE_INFINITY: u8 = 254;
const NEGATIVE_INFINITY: u8 = 255;

pub fn read(input: &mut Input<'_>, kind: u8, seed: u64) -> Result<SortedSet> {
    let mut zset = SortedSet::new(seed);
    let offset = input.offset();
    let mut insert = |member: &[u8], score: Option<f64>| {
        let score = score.filter(|score| !score.is_nan());
        let score = score.ok_or_else(|| malformed(offset, "a score is not a number"))?;
        match zset.insert(member, score) {
            None => Ok(()),
            Some(_) => Err(malformed(offset, "a member of a sorted set is there twice")),
        }
    };
    match kind {
        kind::ZSET | kind::ZSET_2 => {
            for _ in 0..input.length()? {
                let member = input.string()?;
                let is_binary = kind == kind::ZSET_2;
                let score =
                    if is_binary { Some(f64::from_le_bytes(input.array()?)) } else { text_score(input)? };
                insert(&member, score)?;
            }
        }
        _ => {
            let packed = Packed::read(input)?;
            let pairs = if kind == kind::ZSET_ZIPLIST {
                packed.pairs(decode_ziplist)?
            } else {
                packed.pairs(decode_listpack)?
            };
            pairs.into_iter().try_for_each(|[member, score]| insert(&member.text(), score.score()))?;
        }
    }
    Ok(zset)
}

/// A score as text, its length in one byte before it.
fn text_score(input: &mut Input<'_>) -> Result<Option<f64>> {
    Ok(match input.byte()? {
        NAN => None,
        POSITIVE_INFINITY => Some(f64::INFINITY),
        NEGATIVE_INFINITY => Some(f64::NEG_INFINITY),
        length => parse_any_float(&input.bytes(length.into())?),
    })
}
