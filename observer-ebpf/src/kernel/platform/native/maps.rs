//! Maps that live in the memory of one thread, with the methods of aya-ebpf's map types that the programs call. Each has
//! its limit. Knows neither keys nor values.

use std::{
    borrow::Borrow,
    collections::{HashMap as Table, VecDeque},
    hash::Hash,
    marker::PhantomData,
    ptr,
};

use super::world::{change_world, contents, leak};

macro_rules! map {
    ($(#[$doc:meta])* $name:ident <$($parameter:ident),*>) => {
        $(#[$doc])*
        #[repr(C)]
        pub struct $name<$($parameter,)* const MAX: usize> {
            /// Gives the declaration an address of its own, and tells helpers the limit.
            max: usize,
            holds: PhantomData<fn() -> ($($parameter,)*)>,
        }

        impl<$($parameter: 'static,)* const MAX: usize> $name<$($parameter,)* MAX> {
            pub const fn new() -> Self {
                Self { max: MAX, holds: PhantomData }
            }

            fn address(&self) -> usize {
                ptr::from_ref(self).addr()
            }
        }
    };
}

map!(HashMap<K, V>);
map!(
    /// Prefixes of full length only: what a test says of an address.
    LpmTrie<K, V>
);
map!(Array<V>);
map!(Queue<V>);
map!(
    /// See `helpers::bpf_ringbuf_output`.
    RingBuf<V>
);

/// Calls nothing: what would be called is noted, for the test to call it.
pub struct ProgramArray<const MAX: usize>;

impl<const MAX: usize> ProgramArray<MAX> {
    pub const fn new() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "aya's signature")]
    pub unsafe fn tail_call<C>(&self, _context: &C, _index: u32) {
        change_world(|world| world.calls_on = true);
    }
}

/// Throws nothing out: a test's map is not full.
pub type LruHashMap<K, V, const MAX: usize> = HashMap<K, V, MAX>;

/// One CPU runs a test.
pub type PerCpuArray<V, const MAX: usize> = Array<V, MAX>;

/// See `helpers::bpf_sk_storage_get`.
pub struct SkStorage<V> {
    _address: u64,
    holds: PhantomData<fn() -> V>,
}

impl<V> SkStorage<V> {
    pub const fn new() -> Self {
        Self {
            _address: 0,
            holds: PhantomData,
        }
    }
}

impl<K: Copy + Eq + Hash + 'static, V: Copy + 'static, const MAX: usize> HashMap<K, V, MAX> {
    pub fn get_ptr_mut(&self, key: impl Borrow<K>) -> Option<*mut V> {
        contents(self.address(), |table: &mut Table<K, *mut V>| {
            table.get(key.borrow()).copied()
        })
    }

    pub unsafe fn get(&self, key: impl Borrow<K>) -> Option<&V> {
        // SAFETY: values are leaked.
        self.get_ptr_mut(key).map(|value| unsafe { &*value })
    }

    /// `flags` is 0 or `BPF_NOEXIST`.
    pub fn insert(
        &self,
        key: impl Borrow<K>,
        value: impl Borrow<V>,
        flags: u64,
    ) -> Result<(), i32> {
        const EEXIST: i32 = -17;
        const E2BIG: i32 = -7;
        contents(self.address(), |table: &mut Table<K, *mut V>| {
            let there = table.contains_key(key.borrow());
            if there && flags != 0 {
                return Err(EEXIST);
            }
            if !there && table.len() >= MAX {
                return Err(E2BIG);
            }
            table.insert(*key.borrow(), leak(*value.borrow()));
            Ok(())
        })
    }

    pub fn remove(&self, key: impl Borrow<K>) -> Result<(), i32> {
        const ENOENT: i32 = -2;
        contents(self.address(), |table: &mut Table<K, *mut V>| {
            table.remove(key.borrow()).map(|_| ()).ok_or(ENOENT)
        })
    }

    /// For tests: everything in the map.
    pub fn entries(&self) -> Vec<(K, V)> {
        contents(self.address(), |table: &mut Table<K, *mut V>| {
            // SAFETY: values are leaked.
            let entries = table.iter().map(|(k, v)| (*k, unsafe { **v }));
            entries.collect()
        })
    }
}

/// Key of an [`LpmTrie`].
pub struct Key<K> {
    data: K,
}

impl<K> Key<K> {
    pub const fn new(_prefix_length: u32, data: K) -> Self {
        Self { data }
    }
}

impl<K: Copy + Eq + Hash + 'static, V: Copy + 'static, const MAX: usize> LpmTrie<K, V, MAX> {
    pub fn get(&self, key: &Key<K>) -> Option<&V> {
        contents(self.address(), |table: &mut Table<K, *mut V>| {
            // SAFETY: values are leaked.
            table.get(&key.data).map(|value| unsafe { &**value })
        })
    }

    pub fn insert(&self, key: &Key<K>, value: V) {
        contents(self.address(), |table: &mut Table<K, *mut V>| {
            table.insert(key.data, leak(value));
        });
    }
}

impl<V: Copy + Default + 'static, const MAX: usize> Array<V, MAX> {
    pub fn get_ptr_mut(&self, index: u32) -> Option<*mut V> {
        if index as usize >= MAX {
            return None;
        }
        contents(self.address(), |table: &mut Table<u32, *mut V>| {
            Some(*table.entry(index).or_insert_with(|| leak(V::default())))
        })
    }

    pub fn get(&self, index: u32) -> Option<&V> {
        // SAFETY: values are leaked.
        self.get_ptr_mut(index).map(|value| unsafe { &*value })
    }
}

impl<V: Copy + 'static, const MAX: usize> Queue<V, MAX> {
    pub fn push(&self, value: impl Borrow<V>, _flags: u64) -> Result<(), i32> {
        const E2BIG: i32 = -7;
        contents(self.address(), |queue: &mut VecDeque<V>| {
            if queue.len() >= MAX {
                return Err(E2BIG);
            }
            queue.push_back(*value.borrow());
            Ok(())
        })
    }

    #[expect(clippy::unnecessary_wraps, reason = "aya's signature")]
    pub fn pop(&self) -> Result<Option<V>, i32> {
        Ok(contents(self.address(), VecDeque::pop_front))
    }
}
