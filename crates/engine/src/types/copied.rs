//! Counts what writes copy, or leave behind, because somebody else still holds it.
//!
//! Who holds a frozen copy has to know what it costs, block by block as it arises. The data structures know nobody whom
//! they could tell, and to hand a counter down to every block would cost each write a word. So what a call copies is
//! added up in one word of its thread, which has no meaning between calls: [`Engine::take_copied`](crate::Engine::take_copied)
//! reads it and begins anew.

use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    static COPIED: Cell<usize> = const { Cell::new(0) };
}

/// Counts a block that is about to be written, and so copied, or to be let go of, if somebody shares it.
#[inline]
pub fn note<T: ?Sized>(block: &Arc<T>, bytes: impl FnOnce(&T) -> usize) {
    if Arc::strong_count(block) > 1 {
        note_bytes(bytes(block));
    }
}

/// A block to be written: copied, and counted, if somebody shares it.
#[inline]
pub fn own<T: Clone>(block: &mut Arc<T>, bytes: impl FnOnce(&T) -> usize) -> &mut T {
    note(block, bytes);
    Arc::make_mut(block)
}

/// As [`own`], for a block that is a list alone.
#[inline]
pub fn own_list<T: Clone>(list: &mut Arc<Vec<T>>) -> &mut Vec<T> {
    own(list, |list| size_of_val(&**list))
}

/// Counts bytes that stay with somebody else.
#[cold]
pub fn note_bytes(bytes: usize) {
    COPIED.set(COPIED.get().saturating_add(bytes));
}

/// The bytes that were counted on this thread since the last time.
pub fn take() -> usize {
    COPIED.take()
}
