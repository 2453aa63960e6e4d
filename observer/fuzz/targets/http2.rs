//! Any bytes as the sent stream of a connection of HTTP/2: in whatever pieces they come the same is told, every part of it is read,
//! and no text of it has what ends a path.

#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use observer_core::{
    decode::Fields,
    identify::{
        naming::{Blocks, Told},
        route::RouteTable,
    },
    model::signal::FieldPart,
};
use observer_ebpf::{
    abi::{
        http2::Frames,
        request::{Boundary, ROOM_BYTES},
    },
    http2::Output,
    huffman::{self, Steps},
};

fuzz_target!(|data: &[u8]| {
    static STEPS: OnceLock<Box<Steps>> = OnceLock::new();
    static TABLE: OnceLock<RouteTable> = OnceLock::new();
    let steps = STEPS.get_or_init(|| Box::new(huffman::steps()));
    let table = TABLE.get_or_init(|| RouteTable::embedded().expect("the embedded table is whole"));
    let Some((&piece, stream)) = data.split_first() else {
        return;
    };
    let (told, is_full, is_open) = told(stream, stream.len().max(1), steps);
    assert_eq!(
        self::told(stream, usize::from(piece).max(1), steps),
        (told.clone(), is_full, is_open)
    );

    let bytes = [&[0; size_of::<Boundary>()], told.as_slice()].concat();
    let mut fields = Fields::read(&bytes, is_full).expect("a boundary is there");
    let mut blocks = Blocks::default();
    let mut ends = 0_u32;
    let mut begun = 0;
    blocks.take(
        fields.by_ref().inspect(|part| match part {
            FieldPart::Path(said) | FieldPart::Method(said) => {
                let text = said.text.unwrap_or_default();
                assert!(text.len() <= 256 && !text.contains([' ', '?', '#', '\r', '\n']));
            }
            FieldPart::End => ends += 1,
            _ => {}
        }),
        |request| table.typed(request).map(Arc::new),
        |told| begun += u32::from(matches!(told, Told::Begins(_))),
    );
    assert!(begun <= ends);
    // What ends within a block is not handed over.
    assert!(is_full || is_open || fields.is_at_end(), "{told:?}");
});

fn told(stream: &[u8], piece: usize, steps: &Steps) -> (Vec<u8>, bool, bool) {
    let mut frames = Frames::default();
    frames.begin_late();
    let (mut bytes, mut used, mut is_full) = ([0; ROOM_BYTES], 0, 0);
    for piece in stream.chunks(piece) {
        let mut out = Output {
            bytes: &mut bytes,
            used: &mut used,
            is_full: &mut is_full,
        };
        frames.read(piece, steps, &mut out);
    }
    let told = bytes[..used as usize].to_vec();
    (told, is_full != 0, frames.is_open != 0)
}
