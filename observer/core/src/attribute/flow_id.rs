//! The id of a flow: made from what the kernel knows of it alone, so that a restarted agent makes the same.

use sha2::{Digest, Sha256};

use crate::model::flow::{FlowId, FlowKey, FlowTotals};

/// First 16 bytes of a SHA-256 over boot id, cookie, start, protocol and, for a further remote of a UDP socket, both
/// endpoints. The start is part of it because a flow counted anew (the storage or the table entry was made again)
/// starts at 0 and is another flow; the addresses of a socket's own flow are not, because a socket may bind, connect
/// or reconnect while its totals go on.
#[must_use]
pub fn flow_id(boot_id: &str, flow: &FlowTotals) -> FlowId {
    let mut hash = Sha256::new();
    hash.update(b"observer flow 1\0");
    hash.update((boot_id.len() as u64).to_be_bytes());
    hash.update(boot_id);
    hash.update(flow.key.cookie().to_be_bytes());
    hash.update(flow.start_ns.to_be_bytes());
    hash.update([flow.protocol.number()]);
    if let FlowKey::Remote(key) = &flow.key {
        for endpoint in [key.local, key.remote] {
            hash.update(endpoint.mapped());
            hash.update(endpoint.port.to_be_bytes());
        }
    }
    let mut id = [0; 16];
    id.iter_mut()
        .zip(hash.finalize())
        .for_each(|(id, hash)| *id = hash);
    FlowId(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::{remote, socket};

    #[test]
    fn ids_are_the_same_on_every_machine() {
        // SHA-256 of the bytes above, made by another implementation.
        let id = "4d8e12b2b313945f1020af92a192bdb6";
        assert_eq!(flow_id("boot", &socket(7)).to_string(), id);
    }

    #[test]
    fn whatever_makes_another_flow_makes_another_id() {
        let flow = socket(7);
        let restarted = FlowTotals {
            start_ns: flow.start_ns + 1,
            ..flow
        };
        let ids = [
            flow_id("boot", &flow),
            flow_id("boot2", &flow),
            flow_id("boot", &socket(8)),
            flow_id("boot", &restarted),
            flow_id("boot", &remote(7, 1)),
            flow_id("boot", &remote(7, 2)),
        ];
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id), "{index}");
        }
        let moved = FlowTotals {
            local: None,
            tag: 9,
            ..flow
        };
        assert_eq!(flow_id("boot", &moved), flow_id("boot", &flow));
    }
}
