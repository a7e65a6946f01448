//! A four-ary min-heap whose entries can be moved and removed, since it knows where each one is.
//!
//! Entries are small numbers (*slots*) chosen by the caller, with a key each. Four children a node
//! rather than two: half the levels, and the children share a cache line or two. Keys must be
//! unique for the order to be total; callers put a sequence number into theirs.

use std::cmp::Ordering;

use crate::time::SimTime;

/// Position of a slot that is not in the heap.
const ABSENT: u32 = u32::MAX;
const ARITY: usize = 4;

/// A key for what happens at a time: earlier first, then in the order of `sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Order {
    pub(crate) time: SimTime,
    pub(crate) sequence: u64,
}

impl Order {
    /// Both in one number, whose comparison takes no branch. It is not kept so: entries would be a
    /// third larger.
    fn as_number(self) -> u128 {
        (u128::from(self.time.as_nanos()) << 64) | u128::from(self.sequence)
    }
}

impl Ord for Order {
    fn cmp(&self, other: &Order) -> Ordering {
        self.as_number().cmp(&other.as_number())
    }
}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Order) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    fn lt(&self, other: &Order) -> bool {
        self.as_number() < other.as_number()
    }

    fn le(&self, other: &Order) -> bool {
        self.as_number() <= other.as_number()
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct IndexedHeap<K> {
    entries: Vec<(K, u32)>,
    /// By slot: where in `entries` it stands.
    positions: Vec<u32>,
}

impl<K: Copy + Ord> IndexedHeap<K> {
    pub(crate) fn new() -> IndexedHeap<K> {
        IndexedHeap { entries: Vec::new(), positions: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The smallest key and its slot.
    pub(crate) fn peek(&self) -> Option<(K, u32)> {
        self.entries.first().copied()
    }

    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.positions.get(slot as usize).is_some_and(|position| *position != ABSENT)
    }

    /// Inserts `slot`, or moves it to its new key.
    pub(crate) fn set(&mut self, slot: u32, key: K) {
        self.reserve(slot);
        let position = self.positions[slot as usize];
        if position == ABSENT {
            self.entries.push((key, slot));
            self.sift_up(self.entries.len() - 1);
            return;
        }
        let position = position as usize;
        let old = self.entries[position].0;
        self.entries[position].0 = key;
        if key < old { self.sift_up(position) } else { self.sift_down(position) }
    }

    /// Gives several slots new keys at once; where that is most of the heap, rebuilding it is
    /// cheaper than moving each.
    pub(crate) fn set_all(&mut self, changes: &[(K, u32)]) {
        if changes.len() * 4 < self.entries.len() || changes.len() < 8 {
            for (key, slot) in changes {
                self.set(*slot, *key);
            }
            return;
        }
        for (key, slot) in changes {
            self.reserve(*slot);
            match self.positions[*slot as usize] {
                ABSENT => {
                    self.positions[*slot as usize] = self.entries.len() as u32;
                    self.entries.push((*key, *slot));
                }
                position => self.entries[position as usize].0 = *key,
            }
        }
        self.rebuild();
    }

    /// Removes `slot`, if it is there.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<K> {
        let position = *self.positions.get(slot as usize)?;
        if position == ABSENT {
            return None;
        }
        self.positions[slot as usize] = ABSENT;
        let position = position as usize;
        let (key, _) = self.entries.swap_remove(position);
        if let Some((moved_key, moved)) = self.entries.get(position).copied() {
            self.positions[moved as usize] = position as u32;
            if moved_key < key { self.sift_up(position) } else { self.sift_down(position) }
        }
        Some(key)
    }

    /// Removes the entry with the smallest key.
    pub(crate) fn pop(&mut self) -> Option<(K, u32)> {
        let (key, slot) = self.peek()?;
        self.positions[slot as usize] = ABSENT;
        let last = self.entries.pop()?;
        if !self.entries.is_empty() {
            self.entries[0] = last;
            self.sift_down(0);
        }
        Some((key, slot))
    }

    fn reserve(&mut self, slot: u32) {
        let needed = slot as usize + 1;
        if self.positions.len() < needed {
            self.positions.resize(needed, ABSENT);
        }
    }

    fn rebuild(&mut self) {
        if self.entries.len() < 2 {
            return;
        }
        for position in (0..=(self.entries.len() - 2) / ARITY).rev() {
            self.sift_down(position);
        }
    }

    fn sift_up(&mut self, mut position: usize) {
        let entry = self.entries[position];
        while position > 0 {
            let parent = (position - 1) / ARITY;
            if self.entries[parent].0 <= entry.0 {
                break;
            }
            self.place(position, self.entries[parent]);
            position = parent;
        }
        self.place(position, entry);
    }

    fn sift_down(&mut self, mut position: usize) {
        let entry = self.entries[position];
        while let Some(child) = self.smallest_child(position) {
            if entry.0 <= self.entries[child].0 {
                break;
            }
            self.place(position, self.entries[child]);
            position = child;
        }
        self.place(position, entry);
    }

    fn smallest_child(&self, position: usize) -> Option<usize> {
        let first = position * ARITY + 1;
        if let Some(children) = self.entries.get(first..first + ARITY) {
            // A knock-out without branches: which child is least is as good as random.
            let left = usize::from(children[1].0 < children[0].0);
            let right = 2 + usize::from(children[3].0 < children[2].0);
            return Some(first + if children[right].0 < children[left].0 { right } else { left });
        }
        (first..self.entries.len()).min_by_key(|child| self.entries[*child].0)
    }

    fn place(&mut self, position: usize, entry: (K, u32)) {
        self.entries[position] = entry;
        self.positions[entry.1 as usize] = position as u32;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::IndexedHeap;

    #[derive(Debug, Clone)]
    enum Step {
        Set(u32, u64),
        SetAll(Vec<(u64, u32)>),
        Remove(u32),
        Pop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u32..64, 0u64..1000).prop_map(|(slot, key)| Step::Set(slot, key)),
            prop::collection::vec((0u64..1000, 0u32..64), 0..40).prop_map(Step::SetAll),
            (0u32..64).prop_map(Step::Remove),
            Just(Step::Pop),
        ]
    }

    proptest! {
        /// Whatever is done to it, the heap agrees with a sorted map.
        #[test]
        fn agrees_with_a_sorted_map(steps in prop::collection::vec(step(), 0..200)) {
            let mut heap = IndexedHeap::new();
            let mut model: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Set(slot, key) => { heap.set(slot, (key, slot)); model.insert(slot, (key, slot)); }
                    Step::SetAll(changes) => {
                        let changes: Vec<_> = changes.into_iter().map(|(key, slot)| ((key, slot), slot)).collect();
                        heap.set_all(&changes);
                        model.extend(changes.into_iter().map(|(key, slot)| (slot, key)));
                    }
                    Step::Remove(slot) => prop_assert_eq!(heap.remove(slot), model.remove(&slot)),
                    Step::Pop => {
                        let least = model.values().min().copied();
                        prop_assert_eq!(heap.pop().map(|(key, _)| key), least);
                        if let Some((_, slot)) = least { model.remove(&slot); }
                    }
                }
                prop_assert_eq!(heap.len(), model.len());
                prop_assert_eq!(heap.peek().map(|(key, _)| key), model.values().min().copied());
                for slot in 0..64 { prop_assert_eq!(heap.contains(slot), model.contains_key(&slot)); }
            }
        }
    }
}
