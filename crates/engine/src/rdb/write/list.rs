//! Lists as a quicklist: listpacks of bounded size, as Redis makes them.

use super::super::format::node;
use super::super::output::Output;
use super::super::packed::Writer;
use crate::types::List;

/// A listpack takes no further item beyond so many bytes; Redis's default limit.
const NODE_BYTES_MAX: usize = 8 * 1024;
/// More than an item takes beyond its bytes.
const ITEM_BYTES: usize = 10;
/// From this length on an item is a node of its own: a listpack counts its bytes in 32 bits. Redis's limit as well.
const PLAIN_BYTES_MIN: usize = 1 << 30;

pub fn write(output: &mut Output<'_>, list: &List) {
    // How many nodes there are comes first, so that the list is walked twice.
    let mut nodes = 0;
    each_node(list, |_| nodes += 1);
    output.length(nodes);
    each_node(list, |items| match items {
        [item] if item.len() >= PLAIN_BYTES_MIN => {
            output.length(node::PLAIN);
            output.string(item);
        }
        items => {
            let mut writer = Writer::new();
            items.iter().for_each(|item| writer.text(item));
            output.length(node::PACKED);
            output.string(&writer.finish());
        }
    });
}

/// Gives the items of each node.
fn each_node(list: &List, mut visit: impl FnMut(&[&[u8]])) {
    let (mut items, mut bytes) = (Vec::new(), 0);
    for item in list.iter() {
        let length = item.len() + ITEM_BYTES;
        if !items.is_empty() && bytes + length > NODE_BYTES_MAX {
            visit(&items);
            items.clear();
            bytes = 0;
        }
        items.push(item);
        bytes += length;
    }
    if !items.is_empty() {
        visit(&items);
    }
}
