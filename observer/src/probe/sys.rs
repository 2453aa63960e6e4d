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
const BPF_OBJ_GET: libc::c_long = 7;
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
