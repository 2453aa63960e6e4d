//! Reads the ABI structs out of bytes, field by field at the offsets the compiler gives them: no cast, no unsafe.

use core::mem::{offset_of, size_of};

use observer_ebpf::abi;

use super::DecodeError;

/// A value of fixed size in native byte order.
pub trait Wire: Copy {
    /// Reads the value at the start of `bytes`; `None` where they are too short.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// The value that fills `bytes` exactly.
pub fn whole<T: Wire>(what: &'static str, bytes: &[u8]) -> Result<T, DecodeError> {
    let size = DecodeError::Size {
        what,
        expected: size_of::<T>(),
        actual: bytes.len(),
    };
    if bytes.len() != size_of::<T>() {
        return Err(size);
    }
    T::read(bytes).ok_or(size)
}

macro_rules! wire_integers {
    ($($integer:ty),+) => {
        $(impl Wire for $integer {
            #[inline]
            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().map(|chunk| Self::from_ne_bytes(*chunk))
            }
        })+
    };
}

wire_integers!(u8, u16, u32, u64);

impl<T: Wire + Default, const N: usize> Wire for [T; N] {
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut values = [T::default(); N];
        for (index, value) in values.iter_mut().enumerate() {
            *value = T::read(bytes.get(index * size_of::<T>()..)?)?;
        }
        Some(values)
    }
}

/// Every field must be named: a field added to the ABI does not compile until it is read here.
macro_rules! wire_structs {
    ($($($name:ident)::+ { $($field:ident),+ $(,)? })+) => {
        $(impl Wire for abi::$($name)::+ {
            #[inline]
            fn read(bytes: &[u8]) -> Option<Self> {
                let bytes = bytes.get(..size_of::<Self>())?;
                Some(Self { $($field: Wire::read(bytes.get(offset_of!(Self, $field)..)?)?,)+ })
            }
        })+
    };
}

wire_structs! {
    Counters { device_bytes, bundled_bytes, payload_bytes, packets, retransmitted_wire_bytes }
    Way { device_bytes, bundled_bytes, payload_bytes, packets }
    Flow {
        netns_cookie, remote_address, ifindex, slot, tag, local_port, remote_port, protocol, ip_version, initiator,
        ready, flags_locked, flags_ingress, flags_owner, reported_generation, sent, retransmitted_wire_bytes, cookie,
        cgroup_id, seq_high, connect_us, request_ns, local_address, comm, pid, uid, rtt_us, min_rtt_us, reported_flags,
        settled, received, reported_bytes, received_base, start_ns, first_byte_us, netns_inode,
        process, asked_received, asked_ns, answered_ns, pauses, pause_us, before, turns,
    }
    Answer { first_byte_us, last_byte_us, chunk_gap_us }
    UdpKey { cookie, local_address, remote_address, local_port, remote_port, _pad }
    UdpFlow {
        counters, netns_cookie, cgroup_id, start_ns, comm, pid, uid, ifindex, slot, tag, netns_inode, process,
        initiator, ip_version, ready, flags_owner, _pad,
    }
    SlotKey { uplink, home, _pad, tag }
    request::Boundary { sent, received, route, answer }
    capture::Head {
        cookie, netns_cookie, at_ns, local_address, remote_address, local_port, remote_port, kind, protocol, flags, _pad,
        offset, bytes,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// Bytes that differ at every place: a field read at a wrong offset or with a wrong width shows.
    fn counting(size: usize) -> Vec<u8> {
        (0..size)
            .map(|index| (index * 7 + 1).to_le_bytes()[0])
            .collect()
    }

    #[test]
    fn fields_are_read_at_their_own_offsets() {
        let bytes = counting(size_of::<abi::Flow>());
        let flow: abi::Flow = whole("flow", &bytes).unwrap();
        let at = |offset: usize| u32::from_ne_bytes(*bytes[offset..].first_chunk().unwrap());
        assert_eq!(flow.netns_inode, at(offset_of!(abi::Flow, netns_inode)));
        assert_eq!(flow.ifindex[1], at(offset_of!(abi::Flow, ifindex) + 4));
        assert_eq!(
            flow.received.packets & 0xffff_ffff,
            u64::from(at(
                offset_of!(abi::Flow, received) + offset_of!(abi::Way, packets)
            ))
        );
        assert_eq!(flow.comm[..], bytes[offset_of!(abi::Flow, comm)..][..16]);
        assert_eq!(flow.flags_owner, bytes[offset_of!(abi::Flow, flags_owner)]);
    }

    #[test]
    fn no_other_size_passes() {
        let size = size_of::<abi::UdpFlow>();
        for length in (0..size).chain([size + 1, size + 8]) {
            let refused = whole::<abi::UdpFlow>("udp_flow", &counting(length));
            assert_eq!(
                refused,
                Err(DecodeError::Size {
                    what: "udp_flow",
                    expected: size,
                    actual: length
                })
            );
        }
    }
}
