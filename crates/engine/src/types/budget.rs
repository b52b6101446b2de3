//! How much may still be freed while everybody waits.

/// So many bytes of memory cost about as much to give back as one item does to take out: pages go back to the system
/// one by one.
const ITEM_BYTES: usize = 16 << 10;

/// What is left of the work of one step, in items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(usize);

impl Budget {
    /// The work of so many items.
    pub fn new(items: usize) -> Self {
        Self(items)
    }

    pub fn is_spent(self) -> bool {
        self.0 == 0
    }

    /// The items that may still be freed.
    pub fn left(self) -> usize {
        self.0
    }

    /// The bytes that may still be given back in one piece.
    pub fn bytes_left(self) -> usize {
        self.0.saturating_mul(ITEM_BYTES)
    }

    /// Takes away what freeing some items with so many bytes costs. What turns out to be empty is work, too.
    pub fn spend(&mut self, items: usize, bytes: usize) {
        self.0 = self.0.saturating_sub(items.max(1) + bytes / ITEM_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_free_and_large_items_cost_more() {
        let mut budget = Budget::new(10);
        budget.spend(0, 0);
        budget.spend(2, ITEM_BYTES - 1);
        assert_eq!(budget, Budget::new(7));
        budget.spend(1, 3 * ITEM_BYTES);
        assert_eq!(budget.left(), 3);
        budget.spend(1, 100 * ITEM_BYTES);
        assert!(budget.is_spent());
    }
}
