//! What each map value and ring record means: sentinels become `None`, mapped addresses IPv4, numbers words.

use std::{
    mem::offset_of,
    net::{IpAddr, Ipv6Addr},
};

use observer_ebpf::{
    abi::{self, flag},
    account::answer_untold,
};

use super::{DecodeError, wire::whole};
use crate::model::{
    flow::{Answer, Comm, Endpoint, FlowFlags, FlowKey, FlowTotals, Owner, RemoteKey, Timing},
    kernel::{Losses, SlotTotals, UplinkIndex, home_from_number},
    names::{Initiator, LossPlace, OwnerBasis, OwnerMissing, Protocol},
};

/// One value of the socket storage, or the snapshot of one in an end-of-flow event.
///
/// # Errors
/// Another size than [`abi::Flow`], a protocol that is neither TCP nor UDP, an unknown initiator.
pub fn flow(value: &[u8]) -> Result<FlowTotals, DecodeError> {
    let flow: abi::Flow = whole("flow", value)?;
    let flags = flow.flags();
    let ready = flow.ready != 0;
    let owner = Owner {
        pid: flow.pid,
        uid: flow.uid,
        comm: Comm(flow.comm),
        process: flow.process,
        basis: owner_basis(flags),
    };
    Ok(FlowTotals {
        key: FlowKey::Socket(flow.cookie),
        counters: flow.counters().into(),
        protocol: protocol(flow.protocol)?,
        ip_version: ip_version(flow.ip_version),
        local: ready.then(|| endpoint(flow.local_address, flow.local_port)),
        remote: ready.then(|| endpoint(flow.remote_address, flow.remote_port)),
        initiator: initiator(flow.initiator)?,
        flags: FlowFlags(flags),
        start_ns: flow.start_ns,
        netns_cookie: known(flow.netns_cookie),
        netns_inode: known(flow.netns_inode),
        cgroup_id: known(flow.cgroup_id),
        owner: owner_or_reason(flags, owner),
        ifindex: flow.ifindex,
        tag: flow.tag,
        timing: timing(&flow),
        turns: flow.turns,
    })
}

fn timing(flow: &abi::Flow) -> Timing {
    let answer = answer(&answer_untold(flow));
    Timing {
        connect_us: known(flow.connect_us),
        rtt_us: known(flow.rtt_us),
        min_rtt_us: known(flow.min_rtt_us),
        first_byte_us: answer.first_byte_us,
        last_byte_us: answer.last_byte_us,
        chunk_gap_us: answer.chunk_gap_us,
        before: self::answer(&flow.before),
    }
}

/// Times of an answer.
pub fn answer(answer: &abi::Answer) -> Answer {
    Answer {
        first_byte_us: known(answer.first_byte_us),
        last_byte_us: known(answer.last_byte_us),
        chunk_gap_us: known(answer.chunk_gap_us),
    }
}

/// One entry of the table of UDP remotes.
///
/// # Errors
/// Another size than [`abi::UdpKey`] or [`abi::UdpFlow`], an unknown initiator.
pub fn udp_flow(key: &[u8], value: &[u8]) -> Result<FlowTotals, DecodeError> {
    let key: abi::UdpKey = whole("udp_key", key)?;
    let flow: abi::UdpFlow = whole("udp_flow", value)?;
    let local = endpoint(key.local_address, key.local_port);
    let remote = endpoint(key.remote_address, key.remote_port);
    let owner_flags = u32::from(flow.flags_owner) << 24;
    let owner = Owner {
        pid: flow.pid,
        uid: flow.uid,
        comm: Comm(flow.comm),
        process: flow.process,
        basis: owner_basis(owner_flags),
    };
    Ok(FlowTotals {
        key: FlowKey::Remote(RemoteKey {
            cookie: key.cookie,
            local,
            remote,
        }),
        counters: flow.counters.into(),
        protocol: Protocol::Udp,
        ip_version: ip_version(flow.ip_version),
        local: Some(local),
        remote: Some(remote),
        initiator: initiator(flow.initiator)?,
        flags: FlowFlags::default(),
        start_ns: flow.start_ns,
        netns_cookie: known(flow.netns_cookie),
        netns_inode: known(flow.netns_inode),
        cgroup_id: known(flow.cgroup_id),
        owner: owner_or_reason(owner_flags, owner),
        ifindex: flow.ifindex,
        tag: flow.tag,
        timing: Timing::default(),
        turns: 0,
    })
}

/// One slot: its key, and its counters summed over the CPUs.
///
/// # Errors
/// Another size than [`abi::SlotKey`], an unknown home.
pub fn slot(key: &[u8], counters: &abi::Counters) -> Result<SlotTotals, DecodeError> {
    let key: abi::SlotKey = whole("slot_key", key)?;
    let home = home_from_number(key.home).ok_or(DecodeError::Number {
        what: "home",
        number: key.home.into(),
    })?;
    Ok(SlotTotals {
        uplink: key.uplink.checked_sub(1).map(UplinkIndex),
        home,
        tag: key.tag,
        counters: (*counters).into(),
    })
}

/// Key bytes of a remote in the kernel's table of UDP remotes.
#[must_use]
pub fn remote_key(key: &RemoteKey) -> [u8; size_of::<abi::UdpKey>()] {
    let key = abi::UdpKey::from(key);
    let mut bytes = [0; size_of::<abi::UdpKey>()];
    let mut put = |offset: usize, field: &[u8]| {
        bytes[offset..offset + field.len()].copy_from_slice(field);
    };
    put(offset_of!(abi::UdpKey, cookie), &key.cookie.to_ne_bytes());
    put(offset_of!(abi::UdpKey, local_address), &key.local_address);
    put(offset_of!(abi::UdpKey, remote_address), &key.remote_address);
    put(
        offset_of!(abi::UdpKey, local_port),
        &key.local_port.to_ne_bytes(),
    );
    put(
        offset_of!(abi::UdpKey, remote_port),
        &key.remote_port.to_ne_bytes(),
    );
    bytes
}

/// The kernel's loss counters, in the order of [`abi::Lost`].
#[must_use]
pub fn losses(counts: &[u64; abi::LOSSES as usize]) -> Losses {
    const PLACES: [(abi::Lost, LossPlace); abi::LOSSES as usize] = [
        (abi::Lost::EventRing, LossPlace::EventRing),
        (abi::Lost::ReadRing, LossPlace::ReadRing),
        (abi::Lost::Storage, LossPlace::Storage),
        (abi::Lost::UdpTable, LossPlace::UdpTable),
        (abi::Lost::Slot, LossPlace::Slot),
        (abi::Lost::Headers, LossPlace::Headers),
        (abi::Lost::NoteRing, LossPlace::NoteRing),
        (abi::Lost::CaptureRing, LossPlace::CaptureRing),
        (abi::Lost::Request, LossPlace::Request),
    ];
    PLACES
        .into_iter()
        .filter_map(|(lost, place)| counts.get(lost as usize).map(|count| (place, *count)))
        .collect()
}

const fn owner_basis(flags: u32) -> OwnerBasis {
    if flags & flag::HOLDER != 0 {
        OwnerBasis::Holder
    } else if flags & flag::LAST_HOLDER != 0 {
        OwnerBasis::LastHolder
    } else {
        OwnerBasis::Caller
    }
}

const fn owner_or_reason(flags: u32, owner: Owner) -> Result<Owner, OwnerMissing> {
    if flags & flag::OWNER != 0 {
        Ok(owner)
    } else if flags & flag::KERNEL_OWNED != 0 {
        Err(OwnerMissing::Kernel)
    } else {
        Err(OwnerMissing::Unseen)
    }
}

pub(super) fn endpoint(address: [u8; 16], port: u16) -> Endpoint {
    let address = Ipv6Addr::from(address);
    let address = address
        .to_ipv4_mapped()
        .map_or(IpAddr::V6(address), IpAddr::V4);
    Endpoint { address, port }
}

pub(super) fn protocol(number: u8) -> Result<Protocol, DecodeError> {
    Protocol::from_number(number).ok_or(DecodeError::Number {
        what: "protocol",
        number: number.into(),
    })
}

fn initiator(number: u8) -> Result<Initiator, DecodeError> {
    match number {
        abi::initiator::UNKNOWN => Ok(Initiator::Unknown),
        abi::initiator::LOCAL => Ok(Initiator::Local),
        abi::initiator::REMOTE => Ok(Initiator::Remote),
        _ => Err(DecodeError::Number {
            what: "initiator",
            number: number.into(),
        }),
    }
}

fn ip_version(number: u8) -> Option<u8> {
    matches!(number, 4 | 6).then_some(number)
}

/// The kernel half writes 0 where it does not know.
pub(super) fn known<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use proptest::prelude::*;

    use core::mem::{offset_of, size_of};

    use super::*;
    use crate::model::names::Outcome;

    /// Bytes of a struct whose named fields are set and the rest is 0.
    macro_rules! bytes_of {
        ($name:ident { $($field:ident: $value:expr),* $(,)? }) => {{
            let mut bytes = vec![0_u8; size_of::<abi::$name>()];
            $({
                let value = $value;
                let at = offset_of!(abi::$name, $field);
                bytes[at..at + value.len()].copy_from_slice(&value);
            })*
            bytes
        }};
    }

    const MAPPED: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];

    #[test]
    fn a_flow_is_read_whole() {
        let released = (flag::RELEASED | flag::OWNER) >> 24;
        let bytes = bytes_of!(Flow {
            cookie: 77_u64.to_ne_bytes(),
            protocol: [17],
            ip_version: [4],
            initiator: [abi::initiator::LOCAL],
            ready: [1],
            remote_address: MAPPED,
            remote_port: 443_u16.to_ne_bytes(),
            comm: *b"curl\0\0\0\0\0\0\0\0\0\0\0\0",
            pid: 12_u32.to_ne_bytes(),
            flags_owner: [released as u8],
            rtt_us: 900_u32.to_ne_bytes(),
        });
        let totals = flow(&bytes).unwrap();
        assert_eq!(totals.key, FlowKey::Socket(77));
        assert_eq!(totals.protocol, Protocol::Udp);
        assert_eq!(totals.remote.unwrap().address.to_string(), "192.0.2.1");
        assert_eq!(totals.remote.unwrap().mapped(), MAPPED);
        assert_eq!(totals.local.unwrap().address.to_string(), "::");
        assert_eq!(totals.owner.unwrap().comm.to_text(), "curl");
        assert_eq!(totals.flags.outcome(), Outcome::Closed);
        assert_eq!(
            (totals.timing.rtt_us, totals.timing.connect_us),
            (Some(900), None)
        );
        assert_eq!((totals.cgroup_id, totals.netns_cookie), (None, None));
    }

    #[test]
    fn an_owner_says_how_it_is_known() {
        use flag::{HOLDER, KERNEL_OWNED, LAST_HOLDER, OWNER, RELEASED};
        let cases = [
            (OWNER, Ok(OwnerBasis::Caller)),
            (OWNER | HOLDER, Ok(OwnerBasis::Holder)),
            (OWNER | LAST_HOLDER | RELEASED, Ok(OwnerBasis::LastHolder)),
            (KERNEL_OWNED, Err(OwnerMissing::Kernel)),
            (RELEASED, Err(OwnerMissing::Unseen)),
        ];
        for (flags, expected) in cases {
            let socket = flow(&bytes_of!(Flow {
                protocol: [6],
                flags_owner: [(flags >> 24) as u8],
            }));
            let remote = udp_flow(
                &bytes_of!(UdpKey { _pad: [0] }),
                &bytes_of!(UdpFlow {
                    flags_owner: [(flags >> 24) as u8],
                }),
            );
            for found in [socket, remote] {
                let basis = found.unwrap().owner.map(|owner| owner.basis);
                assert_eq!(basis, expected, "{flags:#x}");
            }
        }
    }

    #[test]
    fn what_the_kernel_has_not_filled_in_is_none() {
        let totals = flow(&bytes_of!(Flow { protocol: [6] })).unwrap();
        assert_eq!(
            (totals.local, totals.remote, totals.owner),
            (None, None, Err(OwnerMissing::Unseen))
        );
        assert_eq!(
            (totals.ip_version, totals.initiator),
            (None, Initiator::Unknown)
        );
    }

    #[test]
    fn numbers_of_another_build_are_refused() {
        let number = |what, number| Err(DecodeError::Number { what, number });
        assert_eq!(
            flow(&bytes_of!(Flow { protocol: [1] })),
            number("protocol", 1)
        );
        assert_eq!(
            flow(&bytes_of!(Flow {
                protocol: [6],
                initiator: [9]
            })),
            number("initiator", 9)
        );
        let home = slot(
            &bytes_of!(SlotKey { home: [200] }),
            &abi::Counters::default(),
        );
        assert_eq!(
            home,
            Err(DecodeError::Number {
                what: "home",
                number: 200
            })
        );
    }

    #[test]
    fn a_udp_remote_has_the_key_it_was_read_by() {
        let key = bytes_of!(UdpKey {
            cookie: 5_u64.to_ne_bytes(),
            local_address: MAPPED,
            remote_address: [0x20; 16],
            remote_port: 53_u16.to_ne_bytes(),
        });
        let value = bytes_of!(UdpFlow {
            ip_version: [6],
            pid: 3_u32.to_ne_bytes()
        });
        let totals = udp_flow(&key, &value).unwrap();
        let FlowKey::Remote(remote) = totals.key else {
            panic!("not a remote: {:?}", totals.key)
        };
        assert_eq!(
            abi::UdpKey::from(&remote),
            whole::<abi::UdpKey>("udp_key", &key).unwrap()
        );
        assert_eq!(remote_key(&remote)[..], key[..]);
        assert_eq!(
            (totals.ip_version, totals.remote),
            (Some(6), Some(remote.remote))
        );
    }

    #[test]
    fn a_slot_has_the_wire_bytes_of_its_bundles() {
        let key = bytes_of!(SlotKey {
            uplink: 2_u16.to_ne_bytes(),
            home: [9],
            tag: 4_u32.to_ne_bytes()
        });
        let counters = abi::Counters {
            device_bytes: [100, 7],
            bundled_bytes: [40, 0],
            ..abi::Counters::default()
        };
        let totals = slot(&key, &counters).unwrap();
        assert_eq!(
            (totals.uplink, totals.home, totals.tag),
            (Some(UplinkIndex(1)), abi::Home::Raw, 4)
        );
        assert_eq!(totals.counters.wire_bytes, [140, 7]);
        assert!(slot(&key[1..], &counters).is_err());
    }

    #[test]
    fn every_loss_has_a_place() {
        let losses = losses(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(losses.len(), abi::LOSSES as usize);
        assert_eq!(losses.get(&LossPlace::Headers), Some(&6));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            value in prop::collection::vec(any::<u8>(), 0..400),
            key in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let whole = value.len() == size_of::<abi::Flow>();
            prop_assert!(whole || flow(&value).is_err());
            prop_assert!(udp_flow(&key, &value).is_err() || key.len() == size_of::<abi::UdpKey>());
            prop_assert!(slot(&key, &abi::Counters::default()).is_err() || key.len() == size_of::<abi::SlotKey>());
        }

        #[test]
        fn bytes_of_the_right_size_are_read_unless_a_number_is_foreign(
            value in prop::collection::vec(any::<u8>(), size_of::<abi::Flow>()),
            key in prop::collection::vec(any::<u8>(), size_of::<abi::UdpKey>()),
        ) {
            let known = matches!(value[offset_of!(abi::Flow, protocol)], 6 | 17)
                && value[offset_of!(abi::Flow, initiator)] <= abi::initiator::REMOTE;
            prop_assert_eq!(flow(&value).is_ok(), known);
            let value = &value[..size_of::<abi::UdpFlow>()];
            let known = value[offset_of!(abi::UdpFlow, initiator)] <= abi::initiator::REMOTE;
            let remote = udp_flow(&key, value);
            prop_assert_eq!(remote.is_ok(), known);
            if let Ok(FlowTotals { key: FlowKey::Remote(remote), .. }) = remote {
                prop_assert_eq!(&remote_key(&remote)[..44], &key[..44]);
            }
        }
    }
}
