//! The bpf(2) commands that aya 0.14 does not offer, each behind a safe function. Knows no program and no map by name.

use std::{
    ffi::CString,
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_LINK_UPDATE: libc::c_long = 29;
const BPF_ITER_CREATE: libc::c_long = 33;
const BPF_TRACE_ITER: u32 = 28;

fn bpf(command: libc::c_long, attributes: &[u8]) -> io::Result<i64> {
    // SAFETY: the kernel reads `attributes.len()` bytes of attributes; what they point to outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_ptr(),
            attributes.len(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn owned(fd: i64) -> io::Result<OwnedFd> {
    let fd =
        i32::try_from(fd).map_err(|_| io::Error::other("the kernel returned no descriptor"))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// One BPF instruction (Linux, Documentation/bpf/standardization/instruction-set.rst).
type Instruction = [u8; 8];

const fn instruction(code: u8, destination: u8, source: u8, immediate: i32) -> Instruction {
    let [a, b, c, d] = immediate.to_ne_bytes();
    [code, destination | source << 4, 0, 0, a, b, c, d]
}

const ADD_IMMEDIATE: u8 = 0x07;
const MOVE_IMMEDIATE: u8 = 0xb7;
const MOVE: u8 = 0xbf;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// A program that calls `bpf_get_netns_cookie` with its context.
pub fn asks_for_netns_cookie() -> Vec<Instruction> {
    const BPF_FUNC_GET_NETNS_COOKIE: i32 = 122;
    vec![
        instruction(CALL, 0, 0, BPF_FUNC_GET_NETNS_COOKIE),
        instruction(MOVE_IMMEDIATE, 0, 0, 1),
        instruction(EXIT, 0, 0, 0),
    ]
}

/// A program that calls `bpf_probe_read_kernel`.
pub fn reads_kernel() -> Vec<Instruction> {
    const BPF_FUNC_PROBE_READ_KERNEL: i32 = 113;
    vec![
        instruction(MOVE, 1, 10, 0),
        instruction(ADD_IMMEDIATE, 1, 0, -8),
        instruction(MOVE_IMMEDIATE, 2, 0, 8),
        instruction(MOVE_IMMEDIATE, 3, 0, 0),
        instruction(CALL, 0, 0, BPF_FUNC_PROBE_READ_KERNEL),
        instruction(MOVE_IMMEDIATE, 0, 0, 1),
        instruction(EXIT, 0, 0, 0),
    ]
}

/// Whether this kernel and these privileges take `program` as one of kind `cgroup_skb`; it is not attached.
pub fn cgroup_skb_may_run(program: &[Instruction]) -> bool {
    const BPF_PROG_TYPE_CGROUP_SKB: u32 = 8;
    const BPF_CGROUP_INET_EGRESS: u32 = 1;
    const LOG: usize = 16;
    const KERNEL_VERSION_AND_FLAGS: usize = 8;
    const NAME_AND_DEVICE: usize = 20;
    let license = c"GPL";
    let mut attributes = Vec::with_capacity(72);
    attributes.extend(BPF_PROG_TYPE_CGROUP_SKB.to_ne_bytes());
    attributes.extend((program.len() as u32).to_ne_bytes());
    attributes.extend((program.as_ptr() as u64).to_ne_bytes());
    attributes.extend((license.as_ptr() as u64).to_ne_bytes());
    attributes.extend([0; LOG]);
    attributes.extend([0; KERNEL_VERSION_AND_FLAGS]);
    attributes.extend([0; NAME_AND_DEVICE]);
    attributes.extend(BPF_CGROUP_INET_EGRESS.to_ne_bytes());
    bpf(BPF_PROG_LOAD, &attributes).and_then(owned).is_ok()
}

/// Where a link attaches its program.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A directory of the unified hierarchy (5.7).
    Cgroup(BorrowedFd<'a>),
    /// A device of this thread's network namespace, before all other programs there (TCX, 6.6).
    DeviceFirst(u32),
}

/// A link of a program to `target`; `attach_type` is a `BPF_CGROUP_...` or `BPF_TCX_...` of the kernel's header.
///
/// # Errors
/// The kernel's own, e.g. `EINVAL` where it has no such link.
pub fn link(program: BorrowedFd<'_>, target: Target<'_>, attach_type: u32) -> io::Result<OwnedFd> {
    const BPF_F_BEFORE: u32 = 1 << 3;
    const RELATIVE: usize = 16;
    let (at, flags) = match target {
        Target::Cgroup(directory) => (directory.as_raw_fd().cast_unsigned(), 0),
        Target::DeviceFirst(ifindex) => (ifindex, BPF_F_BEFORE),
    };
    let mut attributes = Vec::with_capacity(32);
    attributes.extend(program.as_raw_fd().to_ne_bytes());
    for word in [at, attach_type, flags] {
        attributes.extend(word.to_ne_bytes());
    }
    attributes.extend([0; RELATIVE]);
    owned(bpf(BPF_LINK_CREATE, &attributes)?)
}

/// What the kernel says of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    pub program_id: u32,
    /// The cgroup or the device is still there and the link at it.
    pub attached: bool,
}

/// What became of a link to a cgroup or a device (`BPF_OBJ_GET_INFO_BY_FD`, 5.8).
///
/// # Errors
/// The kernel's own.
pub fn link_state(link: impl AsFd) -> io::Result<LinkState> {
    // struct bpf_link_info: type, id, prog_id, padding, then the cgroup's id or the device's index, 0 when it is gone.
    let info = info::<64>(link.as_fd())?;
    let word = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    Ok(LinkState {
        program_id: word(8),
        attached: word(16) != 0 || (word(0) == BPF_LINK_TYPE_CGROUP && word(20) != 0),
    })
}

const BPF_LINK_TYPE_CGROUP: u32 = 3;

/// The first `BYTES` of what the kernel says of an object.
fn info<const BYTES: usize>(object: BorrowedFd<'_>) -> io::Result<[u8; BYTES]> {
    let mut info = [0; BYTES];
    let mut attributes = Vec::with_capacity(16);
    attributes.extend(object.as_raw_fd().to_ne_bytes());
    attributes.extend((BYTES as u32).to_ne_bytes());
    attributes.extend((info.as_mut_ptr() as u64).to_ne_bytes());
    bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes)?;
    Ok(info)
}

/// Pins an object at `path` on a bpf filesystem (`BPF_OBJ_PIN`, 4.4).
///
/// # Errors
/// The kernel's own, e.g. `EPERM` where `path` is on another filesystem.
pub fn pin(object: impl AsFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = Vec::with_capacity(16);
    attributes.extend((path.as_ptr() as u64).to_ne_bytes());
    attributes.extend(object.as_fd().as_raw_fd().to_ne_bytes());
    attributes.extend(0u32.to_ne_bytes());
    bpf(BPF_OBJ_PIN, &attributes).map(|_| ())
}

/// A link of an iterator program to one map (`BPF_LINK_CREATE` with `bpf_iter_link_info`, 5.8).
///
/// # Errors
/// The kernel's own, e.g. `EINVAL` where it has no such iterator.
pub fn link_map_iterator(program: BorrowedFd<'_>, map: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let info = map.as_raw_fd().to_ne_bytes();
    let mut attributes = Vec::with_capacity(32);
    attributes.extend(program.as_raw_fd().to_ne_bytes());
    attributes.extend(0u32.to_ne_bytes());
    attributes.extend(BPF_TRACE_ITER.to_ne_bytes());
    attributes.extend(0u32.to_ne_bytes());
    attributes.extend((info.as_ptr() as u64).to_ne_bytes());
    attributes.extend((info.len() as u32).to_ne_bytes());
    attributes.extend(0u32.to_ne_bytes());
    owned(bpf(BPF_LINK_CREATE, &attributes)?)
}

/// A link of an iterator program that needs no map (`BPF_LINK_CREATE`, 5.8).
///
/// # Errors
/// The kernel's own, e.g. `EINVAL` where it has no such iterator.
pub fn link_iterator(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attributes = Vec::with_capacity(16);
    attributes.extend(program.as_raw_fd().to_ne_bytes());
    attributes.extend(0u32.to_ne_bytes());
    attributes.extend(BPF_TRACE_ITER.to_ne_bytes());
    attributes.extend(0u32.to_ne_bytes());
    owned(bpf(BPF_LINK_CREATE, &attributes)?)
}

/// A file whose reading runs the iterator once (`BPF_ITER_CREATE`, 5.8).
///
/// # Errors
/// The kernel's own.
pub fn open_iterator(link: BorrowedFd<'_>) -> io::Result<File> {
    let mut attributes = Vec::with_capacity(8);
    attributes.extend(link.as_raw_fd().to_ne_bytes());
    attributes.extend(0u32.to_ne_bytes());
    Ok(File::from(owned(bpf(BPF_ITER_CREATE, &attributes)?)?))
}

/// Puts another program behind an existing link, without a gap (`BPF_LINK_UPDATE`, 5.7).
///
/// # Errors
/// The kernel's own, e.g. `EINVAL` for a program of another type.
pub fn update_link(link: impl AsFd, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = Vec::with_capacity(16);
    attributes.extend(link.as_fd().as_raw_fd().to_ne_bytes());
    attributes.extend(program.as_raw_fd().to_ne_bytes());
    attributes.extend(0u32.to_ne_bytes());
    attributes.extend(0u32.to_ne_bytes());
    bpf(BPF_LINK_UPDATE, &attributes).map(|_| ())
}

/// The object pinned at `path` (`BPF_OBJ_GET`, 4.4).
///
/// # Errors
/// The kernel's own, e.g. `ENOENT`.
pub fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = Vec::with_capacity(16);
    attributes.extend((path.as_ptr() as u64).to_ne_bytes());
    attributes.extend(0u32.to_ne_bytes());
    attributes.extend(0u32.to_ne_bytes());
    owned(bpf(BPF_OBJ_GET, &attributes)?)
}
