//! Hash tables that take and forget all the time. Knows nothing of what is in them.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

/// Puts `table` together anew where marks of what is gone fill it; to be called each time after something was forgotten.
///
/// A hash table marks the places of what it forgot. Where it is more than half full and has no place without a mark left, it
/// doubles instead of clearing the marks (`hashbrown`, `reserve_rehash`): a table that never holds more grows all the same,
/// at some hour of some day.
pub fn clear_marks<K: Eq + Hash, V, S: BuildHasher + Default>(table: &mut HashMap<K, V, S>) {
    let held = table.len();
    // The capacity is what it holds and places without a mark; what comes until the next time has to fit in those.
    if table.capacity() - held < held / 3 {
        let mut anew = HashMap::with_capacity_and_hasher(held + held / 2, S::default());
        anew.extend(table.drain());
        *table = anew;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps `held` of ever new keys for `rounds` rounds; the capacity at the end.
    fn churned(held: u32, rounds: u32, clear: bool) -> usize {
        let mut table = HashMap::new();
        for round in 0..rounds {
            let first = round * held / 4;
            for key in first..first + held {
                table.insert(key, round);
            }
            table.retain(|key, _| *key >= first);
            assert_eq!(table.len(), held as usize);
            if clear {
                clear_marks(&mut table);
            }
        }
        table.capacity()
    }

    #[test]
    fn a_table_that_holds_no_more_does_not_grow() {
        for held in [900, 1_000, 1_500, 1_900] {
            let at_first = churned(held, 1, true);
            let later = churned(held, 200, true);
            assert!(later <= 2 * at_first, "{held}: {at_first}, {later}");
            assert!(later <= 4 * held as usize, "{held}: {later}");
        }
        // What is guarded against is there: without it the same table is larger.
        assert!(churned(1_000, 200, false) > churned(1_000, 200, true));
    }

    #[test]
    fn nothing_is_lost() {
        let mut table: HashMap<u32, u32> = (0..14_000).map(|key| (key, key)).collect();
        let before = table.clone();
        for _ in 0..3 {
            clear_marks(&mut table);
            assert_eq!(table, before);
        }
        let mut empty = HashMap::<u32, u32>::new();
        clear_marks(&mut empty);
        assert_eq!(empty.capacity(), 0);
    }
}
