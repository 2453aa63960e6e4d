//! A client's QUIC Initial packet, version 1 and 2: what protects it is derived from numbers that stand in the packet itself
//! (RFC 9001, section 5.2; RFC 9369), so its part of the handshake stream can be read. Keeps nothing between packets.

use aes::{
    Aes128,
    cipher::{BlockCipherEncrypt as _, KeyInit as _},
};
use aes_gcm::{AeadInOut as _, Aes128Gcm};
use hkdf::Hkdf;
use sha2::Sha256;

use super::reader::Reader;

/// Bytes of a connection id at the most (RFC 9000, section 17.2).
const CONNECTION_ID_BYTES_MAX: usize = 20;
/// Pieces of one packet that are kept; a client's hello comes in a few, however it is shuffled.
pub const PIECES_MAX: usize = 64;

const VERSION_1: u32 = 1;
const VERSION_2: u32 = 0x6b33_43cf;

/// Why a packet cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuicError {
    #[error("no Initial packet of QUIC version 1 or 2")]
    NoInitial,
    #[error("an Initial packet that breaks its own lengths")]
    Malformed,
    #[error("an Initial packet of another connection's keys")]
    Keys,
}

/// What protects the packets that a client sends first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKeys {
    key: [u8; 16],
    iv: [u8; 12],
    header: [u8; 16],
}

/// A part of the handshake stream: where it begins, and its bytes.
pub type Piece = (u64, Box<[u8]>);

/// One packet without its protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initial {
    /// The keys that fitted.
    pub keys: ClientKeys,
    pub pieces: Vec<Piece>,
}

/// Opens one packet. `known` are the keys of the same client's earlier packets: they stay when the server has chosen
/// another connection id, and change after a Retry.
pub fn initial(packet: &[u8], known: Option<&ClientKeys>) -> Result<Initial, QuicError> {
    let header = Header::read(packet)?;
    if let Some(keys) = known
        && let Ok(plain) = open(packet, &header, keys)
    {
        return finish(keys.clone(), &plain);
    }
    let keys = ClientKeys::derive(header.version, header.destination);
    let plain = open(packet, &header, &keys)?;
    finish(keys, &plain)
}

fn finish(keys: ClientKeys, plain: &[u8]) -> Result<Initial, QuicError> {
    let pieces = pieces(plain).ok_or(QuicError::Malformed)?;
    Ok(Initial { keys, pieces })
}

struct Header<'p> {
    version: u32,
    destination: &'p [u8],
    /// Where the packet number begins.
    number_at: usize,
    /// Packet number and payload.
    length: usize,
}

impl<'p> Header<'p> {
    fn read(packet: &'p [u8]) -> Result<Self, QuicError> {
        Self::fields(packet)?.ok_or(QuicError::Malformed)
    }

    fn fields(packet: &'p [u8]) -> Result<Option<Self>, QuicError> {
        let mut reader = Reader::new(packet);
        let (Some(first), Some(version)) = (reader.u8(), reader.u32()) else {
            return Err(QuicError::NoInitial);
        };
        // Long header and fixed bit, then the type of each version.
        let initial = match version {
            VERSION_1 => 0xc0,
            VERSION_2 => 0xd0,
            _ => return Err(QuicError::NoInitial),
        };
        if first & 0xf0 != initial {
            return Err(QuicError::NoInitial);
        }
        Ok(Self::rest(version, packet.len(), reader))
    }

    fn rest(version: u32, packet_bytes: usize, mut reader: Reader<'p>) -> Option<Self> {
        let is_id = |id: &&[u8]| id.len() <= CONNECTION_ID_BYTES_MAX;
        let destination = reader.list8().filter(is_id)?;
        let _source = reader.list8().filter(is_id)?;
        let token = reader.varint()?;
        let _token = reader.take(usize::try_from(token).ok()?)?;
        let length = usize::try_from(reader.varint()?).ok()?;
        let number_at = packet_bytes - reader.rest().len();
        let _payload = reader.take(length)?;
        Some(Self {
            version,
            destination,
            number_at,
            length,
        })
    }
}

impl ClientKeys {
    fn derive(version: u32, destination: &[u8]) -> Self {
        // RFC 9001, section 5.2, and RFC 9369, section 3.3.
        const SALT_1: [u8; 20] = [
            0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8,
            0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a,
        ];
        const SALT_2: [u8; 20] = [
            0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26,
            0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9,
        ];
        let (salt, [key, iv, header]) = match version {
            VERSION_2 => (SALT_2, ["quicv2 key", "quicv2 iv", "quicv2 hp"]),
            _ => (SALT_1, ["quic key", "quic iv", "quic hp"]),
        };
        let initial = Hkdf::<Sha256>::new(Some(&salt), destination);
        let client: [u8; 32] = expand(&initial, "client in");
        let client = Hkdf::<Sha256>::from_prk(&client).unwrap_or(initial);
        Self {
            key: expand(&client, key),
            iv: expand(&client, iv),
            header: expand(&client, header),
        }
    }
}

/// HKDF-Expand-Label without a context (RFC 8446, section 7.1).
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &str) -> [u8; N] {
    let mut info = Vec::with_capacity(4 + 6 + label.len());
    info.extend_from_slice(&u16::try_from(N).unwrap_or_default().to_be_bytes());
    info.push(u8::try_from(6 + label.len()).unwrap_or_default());
    info.extend_from_slice(b"tls13 ");
    info.extend_from_slice(label.as_bytes());
    info.push(0);
    let mut key = [0; N];
    // Fails beyond 255 times the hash's length alone.
    let _ = secret.expand(&info, &mut key);
    key
}

/// Takes off the header's protection and the payload's (RFC 9001, sections 5.3 and 5.4).
fn open(packet: &[u8], header: &Header<'_>, keys: &ClientKeys) -> Result<Vec<u8>, QuicError> {
    const SAMPLE_AFTER: usize = 4;
    const TAG_BYTES: usize = 16;
    let body = packet
        .get(header.number_at..header.number_at + header.length)
        .ok_or(QuicError::Malformed)?;
    let sample = body
        .get(SAMPLE_AFTER..)
        .and_then(|rest| rest.first_chunk::<16>())
        .ok_or(QuicError::Malformed)?;
    let mut mask = (*sample).into();
    Aes128::new(&keys.header.into()).encrypt_block(&mut mask);
    let [mask_first, mask_number @ ..] = <[u8; 16]>::from(mask);
    let first = packet.first().ok_or(QuicError::Malformed)? ^ (mask_first & 0x0f);
    let number_bytes = usize::from(first & 3) + 1;
    let mut plain_header = packet
        .get(..header.number_at + number_bytes)
        .ok_or(QuicError::Malformed)?
        .to_vec();
    if let Some(byte) = plain_header.first_mut() {
        *byte = first;
    }
    let mut nonce = keys.iv;
    let number = plain_header.iter_mut().skip(header.number_at);
    // The client's first packets: their numbers are small, and what is sent of them is all of them.
    let end = nonce.iter_mut().skip(keys.iv.len() - number_bytes);
    for ((byte, mask), nonce) in number.zip(mask_number).zip(end) {
        *byte ^= mask;
        *nonce ^= *byte;
    }
    let sealed = body.get(number_bytes..).ok_or(QuicError::Malformed)?;
    let (sealed, tag) = sealed
        .split_at_checked(sealed.len().wrapping_sub(TAG_BYTES))
        .ok_or(QuicError::Malformed)?;
    let tag = tag.first_chunk::<TAG_BYTES>().ok_or(QuicError::Malformed)?;
    let mut plain = sealed.to_vec();
    Aes128Gcm::new(&keys.key.into())
        .decrypt_inout_detached(
            &nonce.into(),
            &plain_header,
            plain.as_mut_slice().into(),
            &(*tag).into(),
        )
        .map_err(|_| QuicError::Keys)?;
    Ok(plain)
}

/// The CRYPTO frames among those that an Initial packet may have (RFC 9000, section 12.4); `None` where another one, or
/// what breaks its own lengths, stands between them.
fn pieces(plain: &[u8]) -> Option<Vec<Piece>> {
    const PADDING: u64 = 0;
    const PING: u64 = 1;
    const ACK: u64 = 2;
    const ACK_ECN: u64 = 3;
    const CRYPTO: u64 = 6;
    const CONNECTION_CLOSE: u64 = 0x1c;
    let mut reader = Reader::new(plain);
    let mut pieces = Vec::new();
    while !reader.is_empty() {
        match reader.varint()? {
            PADDING | PING => {}
            frame @ (ACK | ACK_ECN) => acknowledgement(&mut reader, frame == ACK_ECN)?,
            CRYPTO => {
                let offset = reader.varint()?;
                let length = usize::try_from(reader.varint()?).ok()?;
                let bytes = reader.take(length)?;
                if pieces.len() < PIECES_MAX {
                    pieces.push((offset, bytes.into()));
                }
            }
            CONNECTION_CLOSE => {
                let _code = reader.varint()?;
                let _frame = reader.varint()?;
                let reason = usize::try_from(reader.varint()?).ok()?;
                let _reason = reader.take(reason)?;
            }
            _ => return None,
        }
    }
    Some(pieces)
}

fn acknowledgement(reader: &mut Reader<'_>, has_counts: bool) -> Option<()> {
    let _largest = reader.varint()?;
    let _delay = reader.varint()?;
    let ranges = reader.varint()?;
    let _first = reader.varint()?;
    // Each range takes two bytes at the least, so the packet's end bounds the loop.
    for _ in 0..ranges {
        let _gap = reader.varint()?;
        let _length = reader.varint()?;
    }
    if has_counts {
        for _ in 0..3 {
            let _count = reader.varint()?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
