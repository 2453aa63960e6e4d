//! What lies in the kernel's maps: everything that can be read of those that came after a moment, for whoever looks for secrets.

use std::{
    io::Error,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};

/// Commands of bpf(2).
const LOOKUP: libc::c_long = 1;
const NEXT_KEY: libc::c_long = 4;
const NEXT_ID: libc::c_long = 12;
const FD_BY_ID: libc::c_long = 14;
const INFO_BY_FD: libc::c_long = 15;
/// `enum bpf_map_type`.
const RING: u32 = 27;
/// Those that have a value of each CPU.
const BY_CPU: [u32; 4] = [5, 6, 10, 21];
/// Bytes of a page here.
const PAGE: usize = 4_096;
/// More than any map here has.
const ENTRIES_MAX: usize = 1 << 20;
const CPUS_MAX: usize = 256;

/// The start of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Info {
    kind: u32,
    id: u32,
    key_bytes: u32,
    value_bytes: u32,
    entries: u32,
    flags: u32,
    name: [u8; 16],
}

/// The newest map: those of an agent that is started now have higher identifiers.
#[must_use]
pub fn newest() -> u32 {
    let mut newest = 0;
    while let Some(next) = next_id(newest) {
        newest = next;
    }
    newest
}

/// Bytes of the keys and values of every map that is newer than `after`, with its name; of a ring what was taken out too.
pub fn contents(after: u32) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut id = after;
    while let Some(next) = next_id(id) {
        id = next;
        let Ok(map) = open(id) else {
            continue;
        };
        let info = info(&map).context("ask what a map is")?;
        let end = info.name.iter().position(|byte| *byte == 0).unwrap_or(16);
        let name = String::from_utf8_lossy(info.name.get(..end).unwrap_or_default()).into_owned();
        let bytes = match info.kind {
            RING => ring(&map, &info)?,
            _ => all(&map, &info),
        };
        found.push((name, bytes));
    }
    Ok(found)
}

/// One call of bpf(2) with an attribute of 64-bit words.
fn call(command: libc::c_long, attribute: &mut [u64; 16]) -> Result<libc::c_long, Error> {
    // SAFETY: the attribute is as long as said; what it points to lives until the call is over.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attribute.as_mut_ptr(),
            size_of_val(attribute),
        )
    };
    if done < 0 {
        return Err(Error::last_os_error());
    }
    Ok(done)
}

fn next_id(after: u32) -> Option<u32> {
    let mut attribute = [0; 16];
    attribute[0] = u64::from(after);
    call(NEXT_ID, &mut attribute).ok()?;
    u32::try_from(attribute[0] >> 32).ok()
}

fn open(id: u32) -> Result<OwnedFd, Error> {
    let mut attribute = [0; 16];
    attribute[0] = u64::from(id);
    let descriptor = call(FD_BY_ID, &mut attribute)?;
    let descriptor = i32::try_from(descriptor).map_err(Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn info(map: &OwnedFd) -> Result<Info, Error> {
    let mut info = Info::default();
    let mut attribute = [0; 16];
    let length = size_of::<Info>() as u64;
    attribute[0] = u64::from(map.as_raw_fd().unsigned_abs()) | length << 32;
    attribute[1] = (&raw mut info).addr() as u64;
    call(INFO_BY_FD, &mut attribute)?;
    Ok(info)
}

/// The data of a ring lie behind its two pages of positions.
fn ring(map: &OwnedFd, info: &Info) -> Result<Vec<u8>> {
    let length = info.entries as usize;
    let offset = libc::off_t::try_from(2 * PAGE)?;
    // SAFETY: a new mapping, nowhere in particular, of a descriptor that is open.
    let mapped = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_SHARED,
            map.as_raw_fd(),
            offset,
        )
    };
    if mapped == libc::MAP_FAILED {
        return Err(Error::last_os_error()).context("map a ring");
    }
    // SAFETY: the mapping is as long as said and is there until it is given back; another program may write to it, and then
    // bytes are of before or after.
    let bytes = unsafe { std::slice::from_raw_parts(mapped.cast::<u8>(), length) }.to_vec();
    // SAFETY: the mapping made above, which nothing refers to any more.
    unsafe { libc::munmap(mapped, length) };
    Ok(bytes)
}

fn all(map: &OwnedFd, info: &Info) -> Vec<u8> {
    let mut key = vec![0_u8; info.key_bytes.max(4) as usize];
    let mut next = key.clone();
    let values = if BY_CPU.contains(&info.kind) {
        CPUS_MAX
    } else {
        1
    };
    let mut value = vec![0_u8; (info.value_bytes as usize).next_multiple_of(8) * values];
    let mut bytes = Vec::new();
    let mut is_first = true;
    for _ in 0..ENTRIES_MAX {
        let before = if is_first {
            0
        } else {
            key.as_ptr().addr() as u64
        };
        let mut attribute = [0; 16];
        attribute[0] = u64::from(map.as_raw_fd().unsigned_abs());
        attribute[1] = before;
        attribute[2] = next.as_mut_ptr().addr() as u64;
        if call(NEXT_KEY, &mut attribute).is_err() {
            break;
        }
        is_first = false;
        key.copy_from_slice(&next);
        attribute[1] = key.as_ptr().addr() as u64;
        attribute[2] = value.as_mut_ptr().addr() as u64;
        if call(LOOKUP, &mut attribute).is_ok() {
            bytes.extend(&key);
            bytes.extend(&value);
            value.fill(0);
        }
    }
    bytes
}
