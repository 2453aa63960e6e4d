//! The kernel's contexts, with the fields that the programs read, under the names that aya-ebpf's bindings give them; and
//! the socket that stands behind the pointers. Knows no helper.

#![expect(
    non_camel_case_types,
    reason = "the names are those of the kernel's headers, as bindgen has them"
)]

use std::ptr;

/// Fields that programs with an skb read. `data` is wide enough for the host's pointers.
pub struct __sk_buff {
    pub len: u32,
    pub protocol: u32,
    pub ifindex: u32,
    pub ingress_ifindex: u32,
    pub gso_size: u32,
    pub gso_segs: u32,
    pub tstamp: u64,
    pub cb: [u32; 5],
    pub data: u64,
    /// End of the linear part; the helpers read up to `len` all the same.
    pub data_end: u64,
    /// Not the kernel's: where the IP header is, counted from `data`.
    pub network_offset: u32,
    pub __bindgen_anon_2: SocketPointer,
}

/// As bindgen wraps it.
pub struct SocketPointer {
    pub sk: *mut bpf_sock,
}

/// Aligned as the [`Socket`] that it begins.
#[repr(align(8))]
pub struct bpf_sock {
    pub family: u32,
    pub type_: u32,
    pub protocol: u32,
    pub state: u32,
    /// Host byte order.
    pub src_port: u32,
}

#[derive(Default)]
pub struct bpf_tcp_sock {
    pub bytes_received: u64,
    pub srtt_us: u32,
    pub rtt_min: u32,
}

pub struct bpf_sock_addr {
    pub protocol: u32,
    pub __bindgen_anon_1: SocketPointer,
}

pub struct bpf_sock_ops {
    pub op: u32,
    pub bpf_sock_ops_cb_flags: u32,
    pub is_fullsock: u32,
    pub srtt_us: u32,
    pub rtt_min: u32,
    pub bytes_received: u64,
    pub __bindgen_anon_1: Arguments,
    pub __bindgen_anon_2: SocketPointer,
}

/// As bindgen wraps it.
pub struct Arguments {
    pub args: [u32; 4],
}

/// What the helpers find behind a `bpf_sock` pointer: the first field is the one that the programs see.
#[repr(C)]
pub struct Socket {
    pub sock: bpf_sock,
    pub tcp: bpf_tcp_sock,
    pub cookie: u64,
    pub cgroup_id: u64,
    /// `skc_net` of the kernel's own struct.
    pub net: u64,
}

/// The kernel's own struct of a namespace, which no program sees but by offsets.
#[repr(C)]
pub struct Net {
    pub inum: u32,
    pub net_cookie: u64,
}

pub const BPF_NOEXIST: u32 = 1;

macro_rules! program_context {
    ($name:ident, $field:ident, $kernel:ty) => {
        pub struct $name {
            pub $field: *mut $kernel,
        }

        impl $name {
            pub fn new(context: &mut $kernel) -> Self {
                Self {
                    $field: ptr::from_mut(context),
                }
            }
        }
    };
}

program_context!(Skb, skb, __sk_buff);
program_context!(SockContext, sock, bpf_sock);
program_context!(SockAddrContext, sock_addr, bpf_sock_addr);
program_context!(SockOpsContext, ops, bpf_sock_ops);

/// An skb's context has its pointer one step further in.
pub struct SkBuffContext {
    pub skb: Skb,
}

/// The same for TC.
pub type TcContext = SkBuffContext;

impl SkBuffContext {
    pub fn new(skb: &mut __sk_buff) -> Self {
        Self { skb: Skb::new(skb) }
    }
}
