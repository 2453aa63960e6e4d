//! Question: which process is it, and which file does it execute?
//!
//! Called in the context of a task that owns a socket, or with a task that the holders' iterator visits. The first time
//! that a life of a process is met, its executable is told of, so that it is known however soon the process is gone. Cannot
//! see: the executable of a process that is exiting, which has given its memory back.

use core::{ffi::c_void, ptr};

use observer_ebpf::abi::{
    Lost,
    field::Field,
    note::{self, Life, NAME_BYTES, Note, TEXT_BYTES},
};

use super::{
    maps::{NOTES, PROCESSES, lose},
    peek,
    platform::{
        bpf_probe_read_kernel_str, bpf_ringbuf_query, bpf_ringbuf_reserve, bpf_ringbuf_submit,
    },
};

/// Directories and mount points between an executable and the root that are followed.
const STEPS_MAX: u32 = 24;
/// `include/linux/sched.h`.
const PF_KTHREAD: u32 = 0x0020_0000;

const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;
const BPF_RB_AVAIL_DATA: u64 = 0;

/// Whether the task is one of the kernel's own threads.
#[inline(always)]
pub fn is_kernel(task: u64) -> bool {
    peek::read::<u32>(task, Field::TaskFlags).is_some_and(|flags| flags & PF_KTHREAD != 0)
}

/// Which life of `pid` the task belongs to (see [`Note::process`]), told of when it is met for the first time; 0 where the
/// kernel's structs are not known.
#[inline(never)]
pub fn process(task: u64, pid: u32) -> u32 {
    let Some(leader) = peek::pointer(task, Field::TaskLeader) else {
        return 0;
    };
    let start_ns = peek::read::<u64>(leader, Field::TaskStart);
    let execs = peek::read::<u64>(task, Field::TaskExecs);
    let (Some(start_ns), Some(execs)) = (start_ns, execs) else {
        return 0;
    };
    let life = Life { start_ns, execs };
    // SAFETY: the value is read at once; an entry that is given to another pid meanwhile has another life.
    let told = unsafe { PROCESSES.get(pid) }.is_some_and(|told| *told == life);
    if !told && tell(task, pid, &life) {
        let _ = PROCESSES.insert(pid, life, 0);
    }
    life.process()
}

/// Whether the executable could be told of.
#[inline(always)]
fn tell(task: u64, pid: u32, life: &Life) -> bool {
    let executable = peek::pointer(task, Field::TaskMm)
        .and_then(|mm| peek::pointer(mm, Field::MmFile))
        .filter(|_| peek::knows(Field::FilePath));
    let Some(file) = executable else {
        return false;
    };
    let Some(note) = reserve() else {
        return false;
    };
    // SAFETY: `note` is reserved room of a note's size, filled and then given to the ring.
    unsafe {
        (*note).kind = note::PROCESS;
        (*note).pid = pid;
        (*note).process = life.process();
        (*note).cgroup_id = 0;
        (*note)._pad = 0;
        write_path(note, peek::place(file, Field::FilePath));
        submit(note);
    }
    true
}

/// Room for a note; `None` where the ring is full, which is counted.
#[inline(always)]
pub fn reserve() -> Option<*mut Note> {
    let ring = ptr::from_ref(&NOTES).cast_mut().cast();
    // SAFETY: a ring's map; the verifier checks that what is reserved is submitted.
    let note: *mut Note = unsafe { bpf_ringbuf_reserve(ring, size_of::<Note>() as u64, 0) }.cast();
    if note.is_null() {
        lose(Lost::NoteRing);
        return None;
    }
    Some(note)
}

/// Hands a note over. The agent is woken only when the ring is a quarter full; else it comes by itself.
///
/// # Safety
/// `note` is from [`reserve`] and filled.
#[inline(always)]
pub unsafe fn submit(note: *mut Note) {
    let ring = ptr::from_ref(&NOTES).cast_mut().cast();
    // SAFETY: the caller's promise.
    unsafe {
        let pending = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
        let wakeup = if pending > u64::from(observer_ebpf::abi::NOTES_BYTES / 4) {
            BPF_RB_FORCE_WAKEUP
        } else {
            BPF_RB_NO_WAKEUP
        };
        bpf_ringbuf_submit(note.cast(), wakeup);
    }
}

/// Writes the names from the file up to the root, as the process's own mount namespace has them (`d_path`,
/// fs/d_path.c). No lock is held: a directory that is renamed at this moment may give either name.
#[inline(always)]
unsafe fn write_path(note: *mut Note, path: u64) {
    let mut entry = peek::word(path, Field::PathEntry);
    let mut mount = peek::word(path, Field::PathMount);
    let mut used: u32 = 0;
    let mut filled = 0;
    let mut whole = false;
    for _ in 0..STEPS_MAX {
        let root = peek::word(mount, Field::MountRoot);
        if entry == root {
            let Some(point) = mount_point(mount) else {
                whole = true;
                break;
            };
            (mount, entry) = point;
            continue;
        }
        let parent = peek::word(entry, Field::EntryParent);
        if parent == entry {
            whole = true;
            break;
        }
        if used as usize > TEXT_BYTES - NAME_BYTES || !peek::knows(Field::EntryName) {
            break;
        }
        let name = peek::word(peek::place(entry, Field::EntryName), Field::NameText);
        // SAFETY: `used` leaves room for a name; the helper writes that much at the most.
        let written = unsafe {
            let to = (&raw mut (*note).text).cast::<u8>().add(used as usize);
            bpf_probe_read_kernel_str(to.cast(), NAME_BYTES as u32, name as *const c_void)
        };
        if written <= 0 {
            break;
        }
        // The mask tells the verifier what is known: a name is not longer. One that fills the room may be; that is no
        // branch here, because the verifier follows each through all further steps.
        let written = written.cast_unsigned() as u32 & (2 * NAME_BYTES as u32 - 1);
        filled |= written & NAME_BYTES as u32;
        used += written;
        entry = parent;
    }
    // SAFETY: `note` is reserved room.
    unsafe {
        (*note).text_bytes = used;
        (*note).cut = u32::from(!whole || filled != 0);
    }
}

/// The mount and the directory that a mount lies on; `None` at the root of the namespace.
#[inline(always)]
fn mount_point(vfsmount: u64) -> Option<(u64, u64)> {
    if !peek::knows(Field::MountSelf) {
        return None;
    }
    let mount = vfsmount.wrapping_sub(peek::place(0, Field::MountSelf));
    let parent = peek::word(mount, Field::MountParent);
    let point = peek::word(mount, Field::MountPoint);
    (parent != mount).then(|| (peek::place(parent, Field::MountSelf), point))
}
