//! What the stand-ins of one thread share: the clock, the caller, what is in the maps. Values are leaked: a map hands out
//! pointers that stay good, and a test is short.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::HashMap,
};

use observer_ebpf::abi::{Flow, note::Note};

/// What helpers answer besides what stands in maps and contexts. A test sets it before it calls a program.
#[derive(Clone, Copy, Default)]
pub struct World {
    pub now_ns: u64,
    pub pid: u32,
    pub uid: u32,
    pub comm: [u8; 16],
    /// Address of the kernel's own struct of the caller; the test says where its fields are.
    pub task: u64,
    pub netns_cookie: u64,
    /// Option memory is used up: no socket gets new storage.
    pub storage_fails: bool,
    /// Flags that `bpf_sock_ops_cb_flags_set` was last called with.
    pub callback_flags: i32,
    /// A program ended in another by a tail call.
    pub calls_on: bool,
}

thread_local! {
    static WORLD: Cell<World> = Cell::default();
    /// By the address of the map's declaration.
    static MAPS: RefCell<HashMap<usize, Box<dyn Any>>> = RefCell::default();
    /// By the address of the constant.
    static CONSTANTS: RefCell<HashMap<usize, Box<dyn Any>>> = RefCell::default();
}

/// Forgets everything: a test harness may run several tests on one thread.
pub fn reset() {
    WORLD.take();
    MAPS.take();
    CONSTANTS.take();
}

pub fn world() -> World {
    WORLD.get()
}

pub fn change_world(change: impl FnOnce(&mut World)) {
    let mut world = WORLD.get();
    change(&mut world);
    WORLD.set(world);
}

/// What is in the map declared at an address.
pub fn contents<C: Default + 'static, R>(map: usize, work: impl FnOnce(&mut C) -> R) -> R {
    MAPS.with_borrow_mut(|maps| {
        let contents = maps.entry(map).or_insert_with(|| Box::new(C::default()));
        work(contents.downcast_mut().expect("a map has one type"))
    })
}

/// A value that the maps may hand pointers to.
pub fn leak<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// Sets a constant as the loader would.
pub fn load<T: 'static>(constant: *const T, value: T) {
    CONSTANTS.with_borrow_mut(|constants| constants.insert(constant.addr(), Box::new(value)));
}

/// What the loader put in a constant's place, or the constant.
pub unsafe fn loaded<T: Copy + 'static>(constant: *const T) -> T {
    CONSTANTS.with_borrow(|constants| {
        let value = constants
            .get(&constant.addr())
            .and_then(|v| v.downcast_ref());
        // SAFETY: the caller passes an initialised static.
        value.copied().unwrap_or_else(|| unsafe { *constant })
    })
}

/// A value of storage is as large as the largest, a flow.
pub const STORAGE_WORDS: usize = size_of::<Flow>() / 8;

/// Storage of all sockets in one map, by the socket's address.
#[derive(Default)]
pub struct Storage {
    pub values: HashMap<usize, *mut [u64; STORAGE_WORDS]>,
}

/// Records in a ring, flows with the wake-up flag that each was written with. A ring carries flows or notes.
#[derive(Default)]
pub struct Records {
    pub flows: Vec<(Flow, u64)>,
    pub notes: Vec<Note>,
    pub captures: Vec<Vec<u8>>,
}
