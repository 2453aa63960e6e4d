//! Streams of DNS messages over TCP (RFC 1035, section 4.2.2): segments in any order, messages behind their lengths.

use std::collections::{BTreeMap, HashMap};

use crate::model::churn::clear_marks;

/// Streams that are followed at the same time; what comes besides is not read.
pub const STREAMS_MAX: usize = 256;
/// Bytes of one stream that wait for what is missing.
const WAITING_BYTES_MAX: usize = 66 << 10;
/// Ticks without a segment after which a stream is forgotten.
const IDLE_TICKS: u32 = 6;

#[derive(Debug, Default)]
pub struct Streams {
    streams: HashMap<u64, Stream>,
    tick: u32,
}

#[derive(Debug, Default)]
struct Stream {
    /// Sequence number of the first byte that has not been put to its place.
    next: u32,
    /// Of a message that is not whole.
    bytes: Vec<u8>,
    /// Segments that came before their turn, by how far they are from the first byte of the stream.
    early: BTreeMap<u64, Vec<u8>>,
    /// Bytes that have been put to their place.
    placed: u64,
    tick: u32,
}

impl Streams {
    /// Takes in a segment of the socket's stream, and hands out each message that is whole with it.
    pub fn take(&mut self, cookie: u64, sequence: u32, segment: &[u8], message: impl FnMut(&[u8])) {
        let has_room = self.streams.len() < STREAMS_MAX;
        if !has_room && !self.streams.contains_key(&cookie) {
            return;
        }
        let stream = self.streams.entry(cookie).or_insert_with(|| Stream {
            next: sequence,
            ..Stream::default()
        });
        stream.tick = self.tick;
        if !stream.place(sequence, segment) {
            self.streams.remove(&cookie);
            return;
        }
        stream.messages(message);
    }

    pub fn end_tick(&mut self) {
        self.tick = self.tick.saturating_add(1);
        let tick = self.tick;
        self.streams
            .retain(|_, stream| stream.tick.saturating_add(IDLE_TICKS) > tick);
        clear_marks(&mut self.streams);
    }
}

impl Stream {
    /// Whether the stream can still be followed.
    fn place(&mut self, sequence: u32, segment: &[u8]) -> bool {
        // Serial number arithmetic (RFC 1982).
        let ahead = sequence.wrapping_sub(self.next).cast_signed();
        match ahead {
            0 => self.append(segment),
            1.. => {
                let at = self.placed + u64::from(ahead.unsigned_abs());
                self.early.insert(at, segment.to_vec());
            }
            _ => {
                // Sent again, at least in part.
                let known = usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX);
                self.append(segment.get(known..).unwrap_or_default());
            }
        }
        while let Some(first) = self.early.first_entry()
            && *first.key() <= self.placed
        {
            let (at, segment) = first.remove_entry();
            let known = usize::try_from(self.placed - at).unwrap_or(usize::MAX);
            self.append(segment.get(known..).unwrap_or_default());
        }
        let waiting: usize = self.early.values().map(Vec::len).sum();
        self.bytes.len() + waiting <= WAITING_BYTES_MAX
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.placed += bytes.len() as u64;
        let length = u32::try_from(bytes.len()).unwrap_or_default();
        self.next = self.next.wrapping_add(length);
    }

    fn messages(&mut self, mut message: impl FnMut(&[u8])) {
        let mut read = 0;
        while let Some((length, rest)) = self
            .bytes
            .get(read..)
            .and_then(<[u8]>::split_first_chunk::<2>)
            && let Some(whole) = rest.get(..usize::from(u16::from_be_bytes(*length)))
        {
            message(whole);
            read += 2 + whole.len();
        }
        self.bytes.drain(..read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of two messages whose segments arrive in this order, cut to `size`.
    fn read(size: usize, order: impl Fn(&mut Vec<(u32, Vec<u8>)>), first: u32) -> Vec<Vec<u8>> {
        let messages = [vec![7; 300], vec![9; 40]];
        let mut stream = Vec::new();
        for message in &messages {
            stream.extend(
                u16::try_from(message.len())
                    .unwrap_or_default()
                    .to_be_bytes(),
            );
            stream.extend(message);
        }
        let mut segments = Vec::new();
        let mut at = first;
        for chunk in stream.chunks(size) {
            segments.push((at, chunk.to_vec()));
            at = at.wrapping_add(u32::try_from(chunk.len()).unwrap_or_default());
        }
        order(&mut segments);
        let (mut streams, mut found) = (Streams::default(), Vec::new());
        for (sequence, segment) in segments {
            streams.take(1, sequence, &segment, |message| {
                found.push(message.to_vec());
            });
        }
        assert!(found.is_empty() || found[..] == messages[..found.len()]);
        found
    }

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        for size in 1..345 {
            for first in [0, u32::MAX - 100] {
                assert_eq!(read(size, |_| (), first).len(), 2, "{size}");
                // The first segment tells where the stream begins.
                let tail_first = |segments: &mut Vec<(u32, Vec<u8>)>| {
                    segments.get_mut(1..).unwrap_or_default().reverse();
                };
                assert_eq!(read(size, tail_first, first).len(), 2, "{size} reversed");
                let doubled = |segments: &mut Vec<(u32, Vec<u8>)>| {
                    let again = segments.clone();
                    segments.extend(again);
                };
                assert_eq!(read(size, doubled, first).len(), 2, "{size} doubled");
            }
        }
    }

    #[test]
    fn a_hole_is_waited_for_and_not_for_ever() {
        let with_hole = |segments: &mut Vec<(u32, Vec<u8>)>| {
            segments.remove(1);
        };
        assert_eq!(read(100, with_hole, 0).len(), 0);
        let mut streams = Streams::default();
        streams.take(1, 0, b"\0", |_| ());
        for at in 0..2_000 {
            streams.take(1, 100 + 100 * at, &[0; 100], |_| ());
        }
        let waiting = |stream: &Stream| stream.early.values().map(Vec::len).sum::<usize>();
        assert!(streams.streams.values().map(waiting).sum::<usize>() <= WAITING_BYTES_MAX);
        for cookie in 0..2_000 {
            streams.take(cookie, 0, b"\0", |_| ());
        }
        assert_eq!(streams.streams.len(), STREAMS_MAX);
        for _ in 0..=IDLE_TICKS {
            streams.end_tick();
        }
        assert!(streams.streams.is_empty());
    }
}
