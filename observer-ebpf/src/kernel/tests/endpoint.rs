//! One socket of a test, and the hooks that run for it.

use std::{cell::Cell, ptr};

use observer_ebpf::{abi::Flow, packet::protocol};

use super::{
    super::{
        count::{count_egress, count_ingress},
        look::{look_at_line, look_at_received, look_at_sent},
        maps::{FLOWS, ORIGINS},
        owner::{note_origin, own_connect4, own_sendmsg4, release},
        platform::{
            __sk_buff, Arguments, SkBuffContext, SockAddrContext, SockContext, SockOpsContext,
            Socket, SocketPointer, Storage, bpf_sock, bpf_sock_addr, bpf_sock_ops, bpf_tcp_sock,
            change_world, contents, leak, world,
        },
        state::follow_state,
    },
    host::DEVICE,
    packet::Packet,
};

pub const ESTABLISHED: u32 = 1;
pub const SYN_SENT: u32 = 2;
pub const FIN_WAIT1: u32 = 4;
pub const TIME_WAIT: u32 = 6;
pub const CLOSE: u32 = 7;
pub const CLOSE_WAIT: u32 = 8;
pub const LAST_ACK: u32 = 9;
pub const LISTEN: u32 = 10;
pub const NEW_SYN_RECV: u32 = 12;

pub const OP_CONNECT: u32 = 3;
pub const OP_ACTIVE_ESTABLISHED: u32 = 4;
pub const OP_PASSIVE_ESTABLISHED: u32 = 5;
const OP_STATE: u32 = 10;
const STATE_FLAG: i32 = 4;

/// A socket, and what the test has sent and received with it.
pub struct Endpoint {
    socket: *mut Socket,
    protocol: u8,
    /// IP lengths of what passed the hooks, per direction.
    pub device_bytes: Cell<[u64; 2]>,
    /// What TCP has taken in, with the peer's FIN.
    pub bytes_received: Cell<u64>,
    callback_flags: Cell<i32>,
}

impl Endpoint {
    /// Made while the agent runs.
    pub fn new(protocol: u8) -> Self {
        let endpoint = Self::older(protocol);
        let context = SockContext {
            sock: endpoint.sk(),
        };
        assert_eq!(note_origin(context), 1);
        endpoint
    }

    /// Made before the agent came.
    pub fn older(protocol: u8) -> Self {
        let sock = bpf_sock {
            family: 2,
            type_: if protocol == protocol::TCP { 1 } else { 2 },
            protocol: u32::from(protocol),
            state: CLOSE,
            src_port: 40_000,
        };
        let socket = leak(Socket {
            sock,
            tcp: bpf_tcp_sock::default(),
            cookie: 77,
            cgroup_id: 5,
            net: 0,
        });
        Self {
            socket,
            protocol,
            device_bytes: Cell::default(),
            bytes_received: Cell::default(),
            callback_flags: Cell::default(),
        }
    }

    /// A socket accepted from this listener: the kernel clones the origin.
    pub fn accepted(&self) -> Self {
        let accepted = Self::older(self.protocol);
        let copy = |storage: &mut Storage| {
            if let Some(origin) = storage.values.get(&self.socket.addr()) {
                // SAFETY: values are leaked.
                let origin = leak(unsafe { **origin });
                storage.values.insert(accepted.socket.addr(), origin);
            }
        };
        contents(ptr::from_ref(&ORIGINS).addr(), copy);
        accepted
    }

    pub fn sk(&self) -> *mut bpf_sock {
        self.socket.cast()
    }

    /// Changes the socket as the kernel would.
    pub fn change(&self, change: impl FnOnce(&mut Socket)) {
        // SAFETY: sockets are leaked; nothing else holds a reference.
        change(unsafe { &mut *self.socket });
    }

    pub fn set_state(&self, state: u32) {
        self.change(|socket| socket.sock.state = state);
    }

    /// Where the storage is; `None` where there is none.
    pub fn storage(&self) -> Option<*mut Flow> {
        contents(ptr::from_ref(&FLOWS).addr(), |storage: &mut Storage| {
            let value = storage.values.get(&self.socket.addr())?;
            Some(value.cast())
        })
    }

    /// What the storage holds.
    pub fn flow(&self) -> Option<Flow> {
        // SAFETY: values are leaked and as large as a flow.
        self.storage().map(|flow| unsafe { *flow })
    }

    /// `connect()`, by the process of the world.
    pub fn connect(&self) {
        let mut context = self.address_context();
        assert_eq!(own_connect4(SockAddrContext::new(&mut context)), 1);
    }

    /// `sendto()`, by the process of the world.
    pub fn sendmsg(&self) {
        let mut context = self.address_context();
        assert_eq!(own_sendmsg4(SockAddrContext::new(&mut context)), 1);
    }

    fn address_context(&self) -> bpf_sock_addr {
        bpf_sock_addr {
            protocol: u32::from(self.protocol),
            __bindgen_anon_1: SocketPointer { sk: self.sk() },
        }
    }

    /// A callback of `sock_ops` that always comes.
    pub fn callback(&self, op: u32) {
        self.call(op, [0; 4]);
    }

    /// A change of state, of which the callback tells where our flag still stands.
    pub fn go(&self, from: u32, to: u32) {
        if self.callback_flags.get() & STATE_FLAG != 0 {
            self.call(OP_STATE, [from, to, 0, 0]);
        }
        self.set_state(to);
    }

    fn call(&self, op: u32, args: [u32; 4]) {
        let flags = self.callback_flags.get();
        change_world(|world| world.callback_flags = flags);
        let mut ops = bpf_sock_ops {
            op,
            bpf_sock_ops_cb_flags: flags.cast_unsigned(),
            is_fullsock: 1,
            srtt_us: 8_000,
            rtt_min: 900,
            bytes_received: self.bytes_received.get(),
            __bindgen_anon_1: Arguments { args },
            __bindgen_anon_2: SocketPointer { sk: self.sk() },
        };
        assert_eq!(follow_state(SockOpsContext::new(&mut ops)), 0);
        self.callback_flags.set(world().callback_flags);
    }

    pub fn callback_flags(&self) -> i32 {
        self.callback_flags.get()
    }

    /// Another program sets callback flags of its own in place of all others.
    pub fn wipe_callback_flags(&self) {
        self.callback_flags.set(1);
    }

    pub fn send(&self, packet: Packet) {
        self.pass(packet, DEVICE, true);
    }

    pub fn receive(&self, packet: Packet) {
        self.pass(packet, DEVICE, false);
    }

    pub fn pass(&self, packet: Packet, ifindex: u32, egress: bool) {
        let mut device_bytes = self.device_bytes.get();
        device_bytes[usize::from(!egress)] += packet.length() as u64;
        self.device_bytes.set(device_bytes);
        pass_bytes(&packet.bytes(egress), packet.gso, self, ifindex, egress);
    }

    /// `close()` of the last descriptor.
    pub fn release(&self) {
        assert_eq!(release(SockContext { sock: self.sk() }), 1);
    }
}

/// Any bytes through a socket hook.
pub fn pass_bytes(bytes: &[u8], gso: (u32, u32), endpoint: &Endpoint, ifindex: u32, egress: bool) {
    let mut skb = skb(bytes, gso, endpoint.sk());
    skb.ifindex = ifindex;
    let verdict = if egress {
        count_egress(SkBuffContext::new(&mut skb))
    } else {
        count_ingress(SkBuffContext::new(&mut skb))
    };
    assert_eq!(verdict, 1, "the packet passes");
    if world().calls_on {
        change_world(|world| world.calls_on = false);
        let verdict = if egress {
            assert_eq!(look_at_sent(SkBuffContext::new(&mut skb)), 1);
            if world().calls_on {
                change_world(|world| world.calls_on = false);
                assert_eq!(look_at_line(SkBuffContext::new(&mut skb)), 1);
            }
            1
        } else {
            look_at_received(SkBuffContext::new(&mut skb))
        };
        assert_eq!(verdict, 1, "the packet passes");
    }
}

/// An skb of a packet that lies in one piece.
pub fn skb(bytes: &[u8], gso: (u32, u32), sk: *mut bpf_sock) -> __sk_buff {
    let data = bytes.as_ptr().expose_provenance() as u64;
    __sk_buff {
        len: bytes.len() as u32,
        protocol: 0,
        ifindex: DEVICE,
        ingress_ifindex: 0,
        gso_size: gso.0,
        gso_segs: gso.1,
        tstamp: 0,
        cb: [0; 5],
        data,
        data_end: data + bytes.len() as u64,
        network_offset: 0,
        __bindgen_anon_2: SocketPointer { sk },
    }
}
