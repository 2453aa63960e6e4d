//! Question: which path has a cgroup id?
//!
//! Hook: the tracepoint `cgroup_mkdir` (4.20; with BTF 5.5). Context: whoever makes the cgroup. User space finds the
//! cgroups that are there; this tells of those that are gone before it looks.

use core::ffi::c_void;

use observer_ebpf::abi::{
    field::Field,
    note::{self, TEXT_BYTES},
};

use super::{peek, platform::bpf_probe_read_kernel_str, process};

/// Arguments of the tracepoint: `struct cgroup *`, `const char *path`.
#[repr(C)]
pub struct Context {
    pub cgroup: u64,
    pub path: u64,
}

#[unsafe(no_mangle)]
#[cfg_attr(target_arch = "bpf", unsafe(link_section = "tp_btf/cgroup_mkdir"))]
pub extern "C" fn note_cgroup(ctx: *mut Context) -> u32 {
    // SAFETY: the kernel gives a valid context.
    let (cgroup, path) = unsafe { ((*ctx).cgroup, (*ctx).path) };
    let hierarchy = peek::pointer(cgroup, Field::CgroupRoot)
        .and_then(|root| peek::read::<u32>(root, Field::RootHierarchy));
    // The unified hierarchy is 0 (`0::` of /proc/PID/cgroup).
    if hierarchy != Some(0) {
        return 0;
    }
    let id = peek::pointer(cgroup, Field::CgroupNode)
        .and_then(|node| peek::read::<u64>(node, Field::NodeId));
    let Some(id) = id else {
        return 0;
    };
    let Some(note) = process::reserve() else {
        return 0;
    };
    // SAFETY: `note` is reserved room of a note's size, filled and then given to the ring.
    unsafe {
        (*note).kind = note::CGROUP;
        (*note).pid = 0;
        (*note).process = 0;
        (*note).cgroup_id = id;
        (*note)._pad = 0;
        let written = bpf_probe_read_kernel_str(
            (&raw mut (*note).text).cast(),
            TEXT_BYTES as u32,
            path as *const c_void,
        );
        // Negative where the path cannot be read.
        let written = u32::try_from(written).unwrap_or(0);
        (*note).text_bytes = written;
        (*note).cut = u32::from(written == 0 || written as usize == TEXT_BYTES);
        process::submit(note);
    }
    0
}
