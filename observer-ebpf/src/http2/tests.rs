//! Single frames and fields; whole streams of requests are in `observer/core/tests/http2.rs`, beside those who read what is told.

extern crate std;

use std::{vec, vec::Vec};

use super::*;
use crate::{
    abi::http2::part::{INDEXED, INSERT, METHOD, PATH},
    huffman,
};

/// What is told of bytes that begin at a frame.
fn told(bytes: &[u8]) -> (Vec<u8>, u8) {
    let steps = huffman::steps();
    let mut frames = Frames::default();
    frames.begin();
    let (mut room, mut used, mut is_full) = ([0; ROOM_BYTES], 0, 0);
    let mut out = Output {
        bytes: &mut room,
        used: &mut used,
        is_full: &mut is_full,
    };
    frames.read(&[0; PREFACE_BYTES as usize], &steps, &mut out);
    frames.read(bytes, &steps, &mut out);
    (room[..used as usize].to_vec(), is_full)
}

fn headers(flags: u8, block: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, block.len() as u8, HEADERS, flags, 0, 0, 0, 1];
    frame.extend(block);
    frame
}

/// The first 16 bytes of a write; what is not there is nothing that a frame's header could have.
fn first(bytes: &[u8]) -> u128 {
    let mut sixteen = [7; 16];
    let n = bytes.len().min(16);
    sixteen[..n].copy_from_slice(&bytes[..n]);
    u128::from_be_bytes(sixteen)
}

fn begun(parts: &[u8]) -> Vec<u8> {
    let mut told = vec![BLOCK];
    told.extend(0_u32.to_ne_bytes());
    told.extend(1_u32.to_ne_bytes());
    told.extend(parts);
    told
}

/// RFC 7541, appendix C.3 and C.4, and what else a field can be.
#[test]
fn fields_are_told_by_method_and_path_alone() {
    const WWW: &[u8] = b"www.example.com";
    let first = [&[0x82, 0x86, 0x84, 0x41, 0x0f][..], WWW].concat();
    let coded = [
        0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90,
        0xf4, 0xff,
    ];
    let two = 2_u16.to_ne_bytes();
    let four = 4_u16.to_ne_bytes();
    let get = [
        INDEXED, two[0], two[1], INDEXED, four[0], four[1], INSERT, END,
    ];
    let dynamic = 62_u16.to_ne_bytes();
    for (block, expected) in [
        (&first[..], &get[..]),
        (&coded, &get),
        (&[0xbe], &[INDEXED, dynamic[0], dynamic[1], END]),
        // A path that is put into the table, one that is not, one never to be; a query behind it.
        (b"\x44\x02/a", &[PATH, b'/', b'a', 0, text::INSERTED, END]),
        (b"\x04\x02/a", &[PATH, b'/', b'a', 0, 0, END]),
        (b"\x14\x04/a?b", &[PATH, b'/', b'a', 0, 0, END]),
        (b"\x02\x03PUT", &[METHOD, b'P', b'U', b'T', 0, 0, END]),
        // Nothing of others.
        (b"\x00\x01a\x01b", &[END]),
        (b"\x40\x01a\x01b", &[INSERT, END]),
        (b"\x0f\x08\x06secret", &[END]),
        (b"\x40\x00\x00", &[INSERT, END]),
        (b"\x3f\xe1\x1f\x82", &[INDEXED, two[0], two[1], END]),
        // `/` and what is no symbol: thirty bits of the string's end.
        (
            b"\x04\x85\x63\xff\xff\xff\xff",
            &[PATH, b'/', 0, text::BROKEN, END],
        ),
        // What does not end, and a number that does not.
        (
            b"\x04\x09/a",
            &[PATH, b'/', b'a', 0, text::BROKEN, part::LOST],
        ),
        (b"\x0f\xff\xff\xff\xff\xff", &[part::LOST]),
    ] {
        let (told, is_full) = told(&headers(END_HEADERS, block));
        assert_eq!((told, is_full), (begun(expected), 0), "{block:x?}");
    }
}

#[test]
fn frames_that_no_client_sends_end_the_following() {
    let block = headers(END_HEADERS, &[0x82]);
    let two = 2_u16.to_ne_bytes();
    let get = begun(&[INDEXED, two[0], two[1], END]);
    for (before, follows) in [
        (&[][..], true),
        (&[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0], true),
        (&[0, 0, 4, WINDOW_UPDATE, 0, 0, 0, 0, 3, 0, 0, 0, 1], true),
        (&[0, 0, 1, DATA, 1, 0, 0, 0, 1, 7], true),
        (&[0, 0, 4, RST_STREAM, 0, 0, 0, 0, 1, 0, 0, 0, 8], true),
        (&[0, 0, 5, PRIORITY, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], true),
        (&[0, 0, 0, SETTINGS, 1, 0, 0, 0, 1], false),
        (&[0, 0, 1, SETTINGS, 0, 0, 0, 0, 0, 7], false),
        (&[0, 0, 1, DATA, 1, 0, 0, 0, 2, 7], false),
        (&[0, 0, 0, 5, 0, 0, 0, 0, 1], false),
        (&[0, 0, 0, CONTINUATION, 4, 0, 0, 0, 1], false),
        (b"{\"model\": \"gpt\"}", false),
        (b"POST /v1/files HTTP/1.1\r\n\r\n", false),
    ] {
        let bytes = [before, &block].concat();
        let (told, _) = told(&bytes);
        if follows {
            assert_eq!(told, get, "{before:x?}");
        } else {
            assert_eq!(told, [part::LOST], "{before:x?}");
        }
    }
}

/// What was written is written again where a socket was full.
#[test]
fn a_request_that_was_seen_ends_the_following() {
    let block = headers(END_HEADERS, &[0x82]);
    let two = 2_u16.to_ne_bytes();
    let get = begun(&[INDEXED, two[0], two[1], END]);
    let (again, _) = told(&[block.as_slice(), &block].concat());
    assert_eq!(again, [get.as_slice(), &[part::LOST]].concat());
    let trailer = headers(END_HEADERS | END_STREAM, b"\x00\x01a\x01b");
    let (trailed, _) = told(&[block.as_slice(), &trailer].concat());
    let mut expected = get;
    expected.push(BLOCK);
    expected.extend(1_u32.to_ne_bytes());
    expected.extend(1_u32.to_ne_bytes());
    expected.push(END);
    assert_eq!(trailed, expected);
}

#[test]
fn padding_longer_than_its_frame_ends_the_following() {
    let (said, _) = told(&headers(END_HEADERS | PADDED, &[9, 0x82]));
    assert_eq!(said, begun(&[part::LOST]));
    let (said, _) = told(&headers(END_HEADERS | PADDED, &[1, 0x82, 0]));
    let two = 2_u16.to_ne_bytes();
    assert_eq!(said, begun(&[INDEXED, two[0], two[1], END]));
}

#[test]
fn what_finds_no_room_is_known_to_be_cut() {
    let mut bytes = Vec::new();
    for stream in (1..=u8::MAX).step_by(2) {
        let mut frame = headers(END_HEADERS, b"\x04\x02/a");
        frame[8] = stream;
        bytes.extend(frame);
    }
    let (parts, is_full) = told(&bytes);
    assert_eq!(is_full, 1);
    assert!(parts.len() > ROOM_BYTES - 2 * PART_BYTES - 1 && parts.len() <= ROOM_BYTES);
    let long = [&[0x04, 0x7f, 0xd1, 0x00][..], &[b'/'; 208]].concat();
    let (parts, _) = told(&headers(END_HEADERS, &long));
    assert_eq!(parts.len(), 9 + 1 + 208 + 2 + 1);
}

#[test]
fn small_frames_are_known_by_their_lengths() {
    for (header, expected) in [
        ([0, 0, 4, WINDOW_UPDATE, 0, 0, 0, 0, 3], true),
        ([0, 0, 4, RST_STREAM, 0, 0, 0, 0, 3], true),
        ([0, 0, 8, PING, 1, 0, 0, 0, 0], true),
        ([0, 0, 0, SETTINGS, 1, 0, 0, 0, 0], true),
        ([0, 0, 6, SETTINGS, 0, 0, 0, 0, 0], true),
        ([0, 0, 5, WINDOW_UPDATE, 0, 0, 0, 0, 3], false),
        ([0, 0, 4, WINDOW_UPDATE, 0, 128, 0, 0, 3], false),
        ([0, 0, 4, RST_STREAM, 0, 0, 0, 0, 2], false),
        ([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0], false),
        ([0, 0, 4, DATA, 0, 0, 0, 0, 1], false),
        ([0; 9], false),
    ] {
        let is = begins_small_frame(first(&header));
        assert_eq!(is, expected, "{header:?}");
    }
}

#[test]
fn settings_follow_a_preface() {
    for (header, expected) in [
        ([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0], true),
        ([0, 0, 12, SETTINGS, 0, 0, 0, 0, 0], true),
        ([0, 0, 0, SETTINGS, 1, 0, 0, 0, 0], false),
        ([0, 0, 5, SETTINGS, 0, 0, 0, 0, 0], false),
        ([0, 0, 6, SETTINGS, 0, 0, 0, 0, 1], false),
        ([0, 0, 0, DATA, 0, 0, 0, 0, 0], false),
    ] {
        let is = begins_settings(first(&header));
        assert_eq!(is, expected, "{header:?}");
    }
}

#[test]
fn a_request_is_told_from_what_is_none() {
    for (bytes, expected) in [
        (headers(END_HEADERS, &[0x82, 0x86, 0x84]), true),
        (headers(END_HEADERS, &[0x41, 0x01, b'a']), true),
        (headers(END_HEADERS, &[0xbe, 0x83, 0x84]), true),
        // Answers: `:status` as 200, as another, by an entry.
        (headers(END_HEADERS, &[0x88, 0x5f, 0x00]), false),
        (headers(END_HEADERS, &[0x48, 0x03, b'3']), false),
        (headers(END_HEADERS, &[0xbe, 0xc0, 0xbf]), false),
        (headers(0, &[0x82, 0x86, 0x84]), false),
        (headers(END_HEADERS | PADDED, &[0x82, 0x86, 0x84]), false),
        (
            vec![0, 0, 9, HEADERS, END_HEADERS, 0, 0, 0, 1, 0x82, 0x86],
            false,
        ),
        (
            vec![0, 0, 2, HEADERS, END_HEADERS, 0, 0, 0, 2, 0x82, 0x86],
            false,
        ),
        (b"POST /v1/files HTTP/1.1".to_vec(), false),
    ] {
        let is = begins_request(first(&bytes), bytes.len() as u32);
        assert_eq!(is, expected, "{bytes:x?}");
    }
}
