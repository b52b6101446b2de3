//! Lists: one string for each item, one ziplist, or a quicklist of nodes.

use super::super::error::Result;
use super::super::format::{kind, node};
use super::super::input::Input;
use super::super::packed::{decode_listpack, decode_ziplist};
use super::Packed;
use crate::blob::Blob;
use crate::types::{End, List};

pub fn read(input: &mut Input<'_>, kind: u8, seed: u64) -> Result<List> {
    let mut list = List::new(seed);
    let nodes = if kind == kind::LIST_ZIPLIST { 1 } else { input.length()? };
    for _ in 0..nodes {
        match kind {
            kind::LIST => list.push(End::Right, &input.blob()?),
            kind::LIST_QUICKLIST_2 => read_node(input, &mut list)?,
            _ => {
                let packed = Packed::read(input)?;
                push_all(&mut list, packed.decode(decode_ziplist)?.into_iter().map(|item| item.blob()));
            }
        }
    }
    Ok(list)
}

/// A node of the quicklist of Redis 7: a listpack, or one item that was too large for one.
fn read_node(input: &mut Input<'_>, list: &mut List) -> Result<()> {
    match input.length()? {
        node::PLAIN => list.push(End::Right, &input.blob()?),
        node::PACKED => {
            let packed = Packed::read(input)?;
            push_all(list, packed.decode(decode_listpack)?.into_iter().map(|item| item.blob()));
        }
        _ => return Err(input.malformed("a node of a list has no known form")),
    }
    Ok(())
}

fn push_all(list: &mut List, items: impl Iterator<Item = Blob>) {
    items.for_each(|item| list.push(End::Right, &item));
}
