//! Values of the kernel's maps and rings, of any bytes: read or refused, and what was read leads back to its key.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_core::{
    attribute::CgroupPlace,
    decode::{Note, flow, losses, note, remote_key, slot, udp_flow},
    model::flow::FlowKey,
};
use observer_ebpf::abi;

const KEY: usize = size_of::<abi::UdpKey>();
/// Of the key; what follows is padding.
const KEY_FIELDS: usize = 44;

fuzz_target!(|data: &[u8]| {
    if let Ok(totals) = flow(data) {
        assert_eq!(data.len(), size_of::<abi::Flow>());
        let _ = (
            totals.flags.outcome(),
            totals.owner.map(|owner| owner.comm.to_text().len()),
        );
    }
    match note(data) {
        Ok(Note::Process { executable, .. }) => {
            assert!(executable.is_none_or(|path| path.starts_with('/')));
        }
        Ok(Note::Cgroup { path, .. }) => {
            let path = path.unwrap_or_default();
            let place = CgroupPlace::of(&path);
            assert!(place.container_id.is_none_or(|id| id.len() == 64));
        }
        Err(_) => {}
    }
    let key = data.len().min(KEY);
    let (key, value) = data.split_at(key);
    if let Ok(totals) = udp_flow(key, value) {
        let FlowKey::Remote(remote) = totals.key else {
            panic!("a remote has the key of a socket: {:?}", totals.key);
        };
        assert_eq!(remote_key(&remote)[..KEY_FIELDS], key[..KEY_FIELDS]);
    }
    let mut words = data
        .chunks_exact(8)
        .map(|word| word.try_into().map_or(0, u64::from_le_bytes));
    let mut pair = || [0; 2].map(|_: u64| words.next().unwrap_or(0));
    let counters = abi::Counters {
        device_bytes: pair(),
        bundled_bytes: pair(),
        payload_bytes: pair(),
        packets: pair(),
        retransmitted_wire_bytes: pair()[0],
    };
    let _ = slot(
        &data[..data.len().min(size_of::<abi::SlotKey>())],
        &counters,
    );
    assert_eq!(
        losses(&[pair()[0]; abi::LOSSES as usize]).len(),
        abi::LOSSES as usize
    );
});
