//! Which process owns a socket, and what is told of its executable: structs of the kernel's are stood in for by ours, whose
//! offsets the loader would have taken from BTF.

use std::{ffi::CString, mem::offset_of, ptr};

use observer_ebpf::{
    abi::{
        Flow,
        field::{FIELDS_COUNT, Field},
        flag,
        note::{self, NAME_BYTES, Note},
    },
    packet::{protocol, tcp_flag},
};

use super::{
    super::{
        maps::{FIELD_OFFSETS, NOTES},
        platform::{Records, change_world, contents, leak, load},
    },
    endpoint::Endpoint,
    host::boot,
    packet::tcp,
};

#[repr(C)]
struct Task {
    flags: u32,
    tgid: u32,
    leader: u64,
    start_ns: u64,
    execs: u64,
    mm: u64,
}

#[repr(C)]
struct Memory {
    file: u64,
}

/// `f_path` lies in it: the mount, then the entry.
#[repr(C)]
struct File {
    mount: u64,
    entry: u64,
}

#[repr(C)]
struct Entry {
    parent: u64,
    /// `struct qstr`: hash, then text.
    hash: u64,
    text: u64,
}

/// `struct mount`: a `vfsmount` (its root) lies in it.
#[repr(C)]
struct Mount {
    parent: u64,
    point: u64,
    root: u64,
}

fn address<T>(value: *mut T) -> u64 {
    value.expose_provenance() as u64
}

fn entry(parent: u64, name: &str) -> u64 {
    let text = CString::new(name).expect("no NUL").into_raw();
    address(leak(Entry {
        parent,
        hash: 0,
        text: address(text),
    }))
}

/// Its own parent.
fn root() -> u64 {
    let root = leak(Entry {
        parent: 0,
        hash: 0,
        text: 0,
    });
    // SAFETY: a leaked value.
    unsafe { (*root).parent = address(root) };
    address(root)
}

/// What pointers to mounts point to: the part that is a `vfsmount`.
fn mount(parent: Option<u64>, point: u64, root: u64) -> u64 {
    let inner = offset_of!(Mount, root) as u64;
    let mount = leak(Mount {
        parent: 0,
        point,
        root,
    });
    let parent = parent.map_or(address(mount), |parent| parent - inner);
    // SAFETY: a leaked value.
    unsafe { (*mount).parent = parent };
    address(mount) + inner
}

fn know_the_structs() {
    let offsets = [
        (Field::TaskFlags, offset_of!(Task, flags)),
        (Field::TaskTgid, offset_of!(Task, tgid)),
        (Field::TaskLeader, offset_of!(Task, leader)),
        (Field::TaskStart, offset_of!(Task, start_ns)),
        (Field::TaskExecs, offset_of!(Task, execs)),
        (Field::TaskMm, offset_of!(Task, mm)),
        (Field::MmFile, offset_of!(Memory, file)),
        (Field::FilePath, 0),
        (Field::PathMount, offset_of!(File, mount)),
        (Field::PathEntry, offset_of!(File, entry)),
        (Field::EntryParent, offset_of!(Entry, parent)),
        (Field::EntryName, offset_of!(Entry, hash)),
        (
            Field::NameText,
            offset_of!(Entry, text) - offset_of!(Entry, hash),
        ),
        (Field::MountRoot, 0),
        (Field::MountSelf, offset_of!(Mount, root)),
        (Field::MountParent, offset_of!(Mount, parent)),
        (Field::MountPoint, offset_of!(Mount, point)),
    ];
    let table: [*const u32; FIELDS_COUNT] =
        std::array::from_fn(|field| &raw const FIELD_OFFSETS[field]);
    for (field, offset) in offsets {
        load(
            table[field as usize],
            u32::try_from(offset).expect("small") + 1,
        );
    }
}

/// A process that executes the file at `mount` and `entry`; it runs now.
fn run(mount: u64, entry: u64, start_ns: u64, execs: u64) -> *mut Task {
    let file = address(leak(File { mount, entry }));
    let task = leak(Task {
        flags: 0,
        tgid: 4321,
        leader: 0,
        start_ns,
        execs,
        mm: address(leak(Memory { file })),
    });
    // SAFETY: a leaked value.
    unsafe { (*task).leader = address(task) };
    change_world(|world| world.task = address(task));
    task
}

fn notes() -> Vec<Note> {
    contents(ptr::from_ref(&NOTES).addr(), |records: &mut Records| {
        records.notes.clone()
    })
}

fn text(note: &Note) -> String {
    String::from_utf8_lossy(&note.text[..note.text_bytes as usize]).replace('\0', "/")
}

/// A socket that the running process opened; what its flow says.
fn connected() -> Flow {
    let client = Endpoint::new(protocol::TCP);
    client.connect();
    client.send(tcp(tcp_flag::SYN, 1, 0));
    // SAFETY: values are leaked.
    unsafe { *client.storage().expect("a flow") }
}

#[test]
fn an_executable_is_told_once_a_life() {
    boot();
    know_the_structs();
    let top = root();
    let whole = mount(None, 0, top);
    // `/usr` is a mount of its own.
    let usr = entry(top, "usr");
    let other = root();
    let below = mount(Some(whole), usr, other);
    let curl = entry(entry(other, "bin"), "curl");

    run(below, curl, 1_000, 5);
    let first = connected();
    let again = connected();
    let told = notes();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].kind, told[0].pid, told[0].cut),
        (note::PROCESS, 4321, 0)
    );
    assert_eq!(text(&told[0]), "curl/bin/usr/");
    assert_eq!(
        (first.process, again.process),
        (told[0].process, told[0].process)
    );

    // The process executes another program, then its pid is used again.
    run(whole, entry(top, "init"), 1_000, 6);
    let replaced = connected();
    run(whole, entry(top, "other"), 2_000, 1);
    let reused = connected();
    let told = notes();
    assert_eq!(told.len(), 3);
    assert_eq!(
        (text(&told[1]), text(&told[2])),
        ("init/".to_owned(), "other/".to_owned())
    );
    let lives = [first.process, replaced.process, reused.process];
    assert!(lives[0] != lives[1] && lives[1] != lives[2] && lives[0] != lives[2]);
}

#[test]
fn a_path_that_is_too_long_is_cut_and_says_so() {
    boot();
    know_the_structs();
    let top = root();
    let mut deep = top;
    for _ in 0..30 {
        deep = entry(deep, "directory");
    }
    let long = entry(top, &"n".repeat(NAME_BYTES + 10));
    run(mount(None, 0, top), entry(deep, "file"), 1, 1);
    connected();
    run(mount(None, 0, top), long, 2, 1);
    connected();
    let told = notes();
    assert_eq!(told.iter().map(|note| note.cut).collect::<Vec<_>>(), [1, 1]);
    assert!(text(&told[0]).starts_with("file/directory/"));
}

#[test]
fn the_kernels_own_threads_have_no_process() {
    boot();
    know_the_structs();
    let top = root();
    let task = run(mount(None, 0, top), entry(top, "x"), 1, 1);
    // SAFETY: a leaked value.
    unsafe { (*task).flags = 0x0020_0000 };
    let flow = connected();
    assert_eq!(
        flow.flags() & (flag::OWNER | flag::KERNEL_OWNED),
        flag::KERNEL_OWNED
    );
    assert_eq!((flow.pid, notes().len()), (0, 0));
}

#[test]
fn an_exiting_process_lets_go_without_an_executable() {
    boot();
    know_the_structs();
    let top = root();
    let task = run(mount(None, 0, top), entry(top, "x"), 1, 1);
    // SAFETY: a leaked value.
    unsafe { (*task).mm = 0 };
    let server = Endpoint::older(protocol::TCP);
    server.receive(tcp(tcp_flag::ACK, 1, 100));
    server.release();
    // SAFETY: values are leaked.
    let flow = unsafe { *server.storage().expect("a flow") };
    let expected = flag::OWNER | flag::LAST_HOLDER | flag::RELEASED;
    assert_eq!(flow.flags() & expected, expected);
    assert_eq!((flow.pid, notes().len()), (4321, 0));
}
