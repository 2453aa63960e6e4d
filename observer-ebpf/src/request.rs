//! What plaintext and ciphertext have to do with each other: whether a send can be the first of a write, where in a stream a
//! request begins, what a request line hashes to. Pure; compiled natively too.

use crate::abi::request::LINE_BYTES;

/// Bytes that one TLS record adds at the least and at the most, without padding: 21 with ChaCha20 of TLS 1.2, up to 85 with CBC.
const RECORD_LEAST: u32 = 17;
const RECORD_MOST: u32 = 85;
/// The end of a client's handshake, which may be sent together with its first request: change of cipher and Finished.
const FLIGHT_MOST: u32 = 80;
/// Plaintext of a record of OpenSSL's where there is more.
const RECORD_FULL: u32 = 16_384;
/// Records of the start of a connection may be as short as this (Go: 1,208 bytes less what IPv6 needs).
const RECORD_SHORT: u32 = 1_024;

/// Whether `sent` bytes of ciphertext can be the first that `length` bytes of plaintext were sent as: all of them, or their first
/// records.
#[inline(always)]
#[must_use]
pub const fn fits(length: u32, sent: u32) -> bool {
    if length <= RECORD_SHORT {
        return sent >= length + RECORD_LEAST && sent <= length + RECORD_MOST + FLIGHT_MOST;
    }
    // Whole records of any length.
    let most = length / RECORD_SHORT + 1;
    sent >= RECORD_SHORT && sent <= length.saturating_add(most.saturating_mul(RECORD_MOST))
}

/// Whether `sent` bytes of ciphertext are less than those of the first record that `length` bytes of plaintext become.
#[inline(always)]
#[must_use]
pub const fn is_short(length: u32, sent: u32) -> bool {
    let record = if length > RECORD_FULL {
        RECORD_FULL
    } else {
        length
    };
    sent < record + RECORD_LEAST
}

/// Whether `sent` bytes of ciphertext can be all that `length` bytes of plaintext become.
#[inline(always)]
#[must_use]
pub const fn is_all(length: u32, sent: u32) -> bool {
    let records = length.div_ceil(RECORD_FULL);
    sent >= length.saturating_add(records.saturating_mul(RECORD_LEAST))
}

/// Whether the bytes begin a request: a method of HTTP/1 and a space.
#[inline(always)]
#[must_use]
pub const fn is_request(first: u64) -> bool {
    begins(first, b"GET ")
        || begins(first, b"POST ")
        || begins(first, b"PUT ")
        || begins(first, b"HEAD ")
        || begins(first, b"DELETE ")
        || begins(first, b"PATCH ")
        || begins(first, b"TRACE ")
        || begins(first, b"OPTIONS ")
}

/// Whether the first bytes, the first one highest, are those of `word`.
#[inline(always)]
#[must_use]
pub const fn begins(first: u64, word: &[u8]) -> bool {
    let mut wanted = 0;
    let mut at = 0;
    while at < word.len() {
        wanted = wanted << 8 | word[at] as u64;
        at += 1;
    }
    first >> (64 - 8 * word.len()) == wanted
}

/// Payload bytes before the sequence number `at`, given that `sent` bytes end at `high`.
#[inline(always)]
#[must_use]
pub const fn offset_of(at: u32, high: u32, sent: u64) -> u64 {
    let ahead = at.wrapping_sub(high).cast_signed() as i64;
    sent.saturating_add_signed(ahead)
}

/// The count of which `low` is the lower half, at or below `now`.
#[inline(always)]
#[must_use]
pub const fn whole(low: u32, now: u64) -> u64 {
    now.saturating_sub((now as u32).wrapping_sub(low) as u64)
}

/// A line's words, as [`LineHash`] takes them: zeroes behind the line.
pub const LINE_WORDS: usize = LINE_BYTES / 8;

/// Hashes a line by keys that nobody else knows: SipHash-1-3 (Aumasson and Bernstein, 2012) over whole words, of which the length is
/// the last.
#[derive(Clone, Copy, Debug)]
pub struct LineHash {
    state: [u64; 4],
}

impl LineHash {
    #[inline(always)]
    #[must_use]
    pub const fn new(keys: [u64; 2]) -> Self {
        Self {
            state: [
                keys[0] ^ 0x736f_6d65_7073_6575,
                keys[1] ^ 0x646f_7261_6e64_6f6d,
                keys[0] ^ 0x6c79_6765_6e65_7261,
                keys[1] ^ 0x7465_6462_7974_6573,
            ],
        }
    }

    #[inline(always)]
    pub const fn add(&mut self, word: u64) {
        self.state[3] ^= word;
        self.round();
        self.state[0] ^= word;
    }

    #[inline(always)]
    #[must_use]
    pub const fn finish(mut self, length: u32) -> u64 {
        self.add(length as u64);
        self.state[2] ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.state[0] ^ self.state[1] ^ self.state[2] ^ self.state[3]
    }

    #[inline(always)]
    const fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.state;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32);
        c = c.wrapping_add(b);
        a = a.wrapping_add(d);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
        self.state = [a, b, c, d];
    }
}

/// What a line hashes to.
#[must_use]
pub fn line_hash(keys: [u64; 2], line: &[u8]) -> u64 {
    let mut hash = LineHash::new(keys);
    for chunk in line.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash.add(u64::from_ne_bytes(word));
    }
    hash.finish(u32::try_from(line.len()).unwrap_or(u32::MAX))
}

/// What a byte of a request line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Belongs to method, space or path.
    Goes,
    /// Ends method and path.
    Ends,
}

/// `spaces` are those before it.
#[inline(always)]
#[must_use]
pub const fn part(byte: u8, spaces: u32) -> Part {
    match byte {
        b' ' if spaces == 0 => Part::Goes,
        b' ' | b'?' | b'#' | b'\r' | b'\n' | 0 => Part::Ends,
        _ => Part::Goes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_sent_of_a_write() {
        for (length, sent, expected) in [
            // TLS 1.3, TLS 1.2 with AES-GCM, with ChaCha20, with CBC.
            (100, 122, true),
            (100, 129, true),
            (100, 121, true),
            (100, 165, true),
            // Behind the end of the handshake.
            (699, 801, true),
            (100, 100, false),
            (100, 116, false),
            (100, 80, false),
            (100, 517, false),
            // The first record of more, all of it, some of its records.
            (40_000, 16_406, true),
            (40_000, 40_066, true),
            (40_000, 32_812, true),
            (3_000, 1_230, true),
            (3_000, 80, false),
            (3_000, 4_000, false),
            (u32::MAX, 16_406, true),
        ] {
            assert_eq!(fits(length, sent), expected, "{length} {sent}");
        }
    }

    #[test]
    fn what_a_socket_did_not_take() {
        for (length, sent, expected) in [
            (100, 122, false),
            (100, 117, false),
            (100, 60, true),
            (16_384, 16_406, false),
            (16_384, 9_000, true),
            (100_000, 16_406, false),
            (100_000, 9_000, true),
        ] {
            assert_eq!(is_short(length, sent), expected, "{length} {sent}");
        }
    }

    #[test]
    fn all_of_a_write_has_records_around_it() {
        for (length, sent, expected) in [
            (10, 32, true),
            (10, 26, false),
            (10, 10, false),
            (16_384, 16_406, true),
            // One record of two.
            (16_393, 16_406, false),
            (16_393, 16_437, true),
            (40_000, 16_406, false),
            (u32::MAX, u32::MAX, true),
        ] {
            assert_eq!(is_all(length, sent), expected, "{length} {sent}");
        }
    }

    #[test]
    fn lines_hash_by_their_keys_and_every_byte() {
        let keys = [1, 2];
        let line = b"POST /openai/deployments/one/chat";
        let hash = line_hash(keys, line);
        assert_eq!(hash, line_hash(keys, line));
        assert_ne!(hash, line_hash([1, 3], line));
        assert_ne!(hash, line_hash(keys, &line[..line.len() - 1]));
        assert_ne!(line_hash(keys, b"GET /"), line_hash(keys, b"GET /\0"));
        for at in 0..line.len() {
            let mut other = *line;
            other[at] ^= 1;
            assert_ne!(hash, line_hash(keys, &other), "{at}");
        }
    }

    #[test]
    fn methods_begin_requests() {
        let first = |text: &str| {
            let mut bytes = [0; 8];
            let n = text.len().min(8);
            bytes[..n].copy_from_slice(&text.as_bytes()[..n]);
            u64::from_be_bytes(bytes)
        };
        for (text, expected) in [
            ("GET /", true),
            ("POST /v1/responses", true),
            ("OPTIONS *", true),
            ("GETS /", false),
            ("PRI * HTTP/2.0", false),
            ("get /", false),
            ("POST", false),
            ("", false),
        ] {
            assert_eq!(is_request(first(text)), expected, "{text}");
        }
    }

    #[test]
    fn offsets_follow_sequence_numbers_around_their_end() {
        for (at, high, sent, expected) in [
            (1_000, 1_000, 500, 500),
            (1_000, 1_122, 622, 500),
            (1_122, 1_000, 500, 622),
            (u32::MAX - 9, 90, 100, 0),
            (90, u32::MAX - 9, 100, 200),
            (0, 100, 50, 0),
        ] {
            assert_eq!(offset_of(at, high, sent), expected, "{at} {high} {sent}");
        }
        for (low, now, expected) in [
            (5, 5, 5),
            (5, 10, 5),
            (u32::MAX, 1 << 32, u64::from(u32::MAX)),
            (0, (1 << 32) + 7, 1 << 32),
            (9, 4, 0),
        ] {
            assert_eq!(whole(low, now), expected, "{low} {now}");
        }
    }
}
