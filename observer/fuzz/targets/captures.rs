//! Any bytes as records of the ring of captures, one after the other, through all that reads them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_core::decode::{self, Heard, Speech};
use observer_ebpf::abi::capture::Head;

/// Bytes in front of each record's data: kind, flags, cookie, offset, length.
const FRONT: usize = 7;

fuzz_target!(|data: &[u8]| {
    let _ = decode::capture(data);
    let mut speech = Speech::default();
    let mut rest = data;
    while let Some((front, behind)) = rest.split_at_checked(FRONT) {
        let length = usize::from(front[5]) << 3 | usize::from(front[6]);
        let (bytes, next) = behind.split_at(length.min(behind.len()));
        rest = next;
        let mut record = vec![0; size_of::<Head>()];
        let at = |record: &mut Vec<u8>, at: usize, bytes: &[u8]| {
            record[at..at + bytes.len()].copy_from_slice(bytes);
        };
        use core::mem::offset_of;
        at(
            &mut record,
            offset_of!(Head, cookie),
            &u64::from(front[2] & 7).to_ne_bytes(),
        );
        at(
            &mut record,
            offset_of!(Head, netns_cookie),
            &1_u64.to_ne_bytes(),
        );
        at(&mut record, offset_of!(Head, kind), &[front[0] % 9]);
        at(&mut record, offset_of!(Head, flags), &[front[1] & 3]);
        at(
            &mut record,
            offset_of!(Head, protocol),
            &[if front[0] % 9 == 2 { 17 } else { 6 }],
        );
        let offset = u32::from(front[3]) << 4 | u32::from(front[4]);
        at(&mut record, offset_of!(Head, offset), &offset.to_ne_bytes());
        at(
            &mut record,
            offset_of!(Head, bytes),
            &(bytes.len() as u32).to_ne_bytes(),
        );
        record.extend(bytes);
        if let Ok(capture) = decode::capture(&record) {
            speech.take(&capture, |heard| {
                if let Heard::Asked(_, asked) = heard {
                    assert!(asked.server_name.is_none() || asked.address.is_none());
                }
            });
        }
    }
    for _ in 0..8 {
        speech.end_tick(|_| ());
    }
});
