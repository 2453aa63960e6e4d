//! The packets of the RFCs' appendices.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<u8> = hexadecimal.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn keys_are_those_of_the_appendices() {
    let destination = bytes("8394c8f03e515708");
    // RFC 9001, appendix A.1.
    let keys = ClientKeys::derive(VERSION_1, &destination);
    assert_eq!(keys.key[..], bytes("1f369613dd76d5467730efcbe3b1a22d"));
    assert_eq!(keys.iv[..], bytes("fa044b2f42a3fd3b46fb255c"));
    assert_eq!(keys.header[..], bytes("9f50449e04a0e810283a1e9933adedd2"));
    // RFC 9369, appendix A.1.
    let keys = ClientKeys::derive(VERSION_2, &destination);
    assert_eq!(keys.key[..], bytes("8b1a0bc121284290a29e0971b5cd045d"));
    assert_eq!(keys.iv[..], bytes("91f73e2351d8fa91660e909f"));
    assert_eq!(keys.header[..], bytes("45b95e15235d6f45a6b19cbcb0294ba9"));
}

/// Seals a packet as a client does, by the same primitives.
pub fn sealed(version: u32, destination: &[u8], number: u8, frames: &[u8]) -> Vec<u8> {
    let keys = ClientKeys::derive(version, destination);
    let mut plain = frames.to_vec();
    plain.resize(frames.len().max(1100), 0);
    let first = if version == VERSION_2 { 0xd0 } else { 0xc0 };
    let mut packet = vec![first];
    packet.extend(version.to_be_bytes());
    packet.push(destination.len().try_into().unwrap());
    packet.extend(destination);
    packet.push(0);
    packet.push(0);
    let length = u16::try_from(1 + plain.len() + 16).unwrap() | 0x4000;
    packet.extend(length.to_be_bytes());
    let number_at = packet.len();
    packet.push(number);
    let mut nonce = keys.iv;
    *nonce.last_mut().unwrap() ^= number;
    let tag = Aes128Gcm::new(&keys.key.into())
        .encrypt_inout_detached(&nonce.into(), &packet, plain.as_mut_slice().into())
        .unwrap();
    packet.extend(plain);
    packet.extend(tag);
    let sample: [u8; 16] = *packet[number_at + 4..].first_chunk().unwrap();
    let mut mask = sample.into();
    Aes128::new(&keys.header.into()).encrypt_block(&mut mask);
    packet[0] ^= mask[0] & 0x0f;
    packet[number_at] ^= mask[1];
    packet
}

fn crypto(offset: u8, bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![6, offset, bytes.len().try_into().unwrap()];
    frame.extend(bytes);
    frame
}

#[test]
fn pieces_are_found_among_other_frames() {
    let mut frames = vec![1, 0, 0];
    frames.extend(crypto(4, b"def"));
    frames.extend([2, 1, 0, 1, 0, 0, 0]);
    frames.extend(crypto(0, b"abcd"));
    for version in [VERSION_1, VERSION_2] {
        let opened = initial(&sealed(version, b"12345678", 3, &frames), None).unwrap();
        let expected: Vec<Piece> = vec![(4, (*b"def").into()), (0, (*b"abcd").into())];
        assert_eq!(opened.pieces, expected);
    }
}

#[test]
fn known_keys_open_what_another_id_names() {
    let first = initial(&sealed(1, b"12345678", 0, &crypto(0, b"a")), None).unwrap();
    // The same keys, and the id that the server has chosen in the header: the tag covers it.
    let mut later = sealed(1, b"12345678", 1, &crypto(1, b"b"));
    assert!(initial(&later, Some(&first.keys)).is_ok());
    later[6] ^= 1;
    assert_eq!(initial(&later, Some(&first.keys)), Err(QuicError::Keys));
    // After a Retry the client's own id gives the keys.
    let retried = initial(
        &sealed(1, b"abcdefgh", 1, &crypto(1, b"b")),
        Some(&first.keys),
    );
    assert_ne!(retried.unwrap().keys, first.keys);
}

#[test]
fn anything_else_is_refused() {
    let whole = sealed(1, b"12345678", 0, &crypto(0, b"abc"));
    for end in 0..whole.len() {
        assert!(initial(&whole[..end], None).is_err(), "{end}");
    }
    for at in 0..whole.len() {
        let mut other = whole.clone();
        other[at] ^= 0x40;
        assert!(initial(&other, None).is_err(), "{at}");
    }
    assert_eq!(initial(&[0x40; 1200], None), Err(QuicError::NoInitial));
}
