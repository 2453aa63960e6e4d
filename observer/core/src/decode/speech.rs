//! Puts captures together until they say something: hellos that come in several packets, the shuffled pieces of QUIC,
//! streams of DNS messages. Knows no flow but by its key, and forgets one when it has spoken.

use std::collections::{HashMap, VecDeque};

use super::{
    dns::dns_answer,
    hello::{HELLO_BYTES_MAX, Hello, client_hello},
    quic::{ClientKeys, initial},
    stream::Streams,
    target::{host_and_port, socks},
};
use crate::model::{
    churn::clear_marks,
    flow::FlowKey,
    names::BlindReason,
    signal::{Asked, AskedBy, Capture, CaptureKind, DnsAnswer},
};

/// Hellos under way at the same time, each of [`HELLO_BYTES_MAX`] at the most; the oldest makes room.
pub const SPEECH_MAX: usize = 1_024;
/// Ticks after which a hello that has not come to its end is given up, and one that has is forgotten.
const TICKS_MAX: u32 = 6;

/// What captures came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A client has asked for somebody.
    Asked(FlowKey, Box<Asked>),
    /// A client's words cannot be read, now or ever.
    Unread(FlowKey, BlindReason),
    /// A socket of this namespace was answered, at this time.
    Answer {
        netns_cookie: u64,
        answer: DnsAnswer,
        at_ns: u64,
    },
}

/// All that has been begun and is not at its end.
#[derive(Debug, Default)]
pub struct Speech {
    hellos: HashMap<FlowKey, Begun>,
    /// Keys in the order in which they came in, with the tick; one that is gone may be among them.
    order: VecDeque<(FlowKey, u32)>,
    streams: Streams,
    tick: u32,
    unread: u64,
}

/// A hello under way.
#[derive(Debug, Default)]
struct Begun {
    keys: Option<ClientKeys>,
    bytes: Vec<u8>,
    /// Which parts of `bytes` are there: from, to; sorted, none touching another.
    parts: Vec<(usize, usize)>,
    spoken: bool,
}

impl Speech {
    /// Takes in one capture, and tells what is whole with it.
    pub fn take(&mut self, capture: &Capture<'_>, mut hear: impl FnMut(Heard)) {
        let flow = capture.flow();
        match capture.kind {
            CaptureKind::Hello { offset } => self.hello(capture, offset, hear),
            CaptureKind::Quic => self.quic(capture, hear),
            CaptureKind::Host => {
                let asked = host_and_port(capture.bytes, AskedBy::Host);
                self.target(flow, asked, &mut hear);
            }
            CaptureKind::Connect => {
                let asked = host_and_port(capture.bytes, AskedBy::Connect);
                self.target(flow, asked, &mut hear);
            }
            CaptureKind::Socks => self.target(flow, socks(capture.bytes), &mut hear),
            // Nothing of it has to be put together.
            CaptureKind::Request | CaptureKind::Fields => {}
            CaptureKind::Dns => self.message(capture, capture.bytes, &mut hear),
            CaptureKind::DnsStream { sequence } => {
                let mut streams = std::mem::take(&mut self.streams);
                streams.take(capture.cookie, sequence, capture.bytes, |message| {
                    self.message(capture, message, &mut hear);
                });
                self.streams = streams;
            }
        }
    }

    /// Captures that say nothing that can be read.
    #[must_use]
    pub const fn unread(&self) -> u64 {
        self.unread
    }

    /// Ends a tick: gives up what has waited long enough.
    pub fn end_tick(&mut self, mut hear: impl FnMut(Heard)) {
        self.tick = self.tick.saturating_add(1);
        while let Some((key, since)) = self.order.front() {
            if since.saturating_add(TICKS_MAX) > self.tick {
                break;
            }
            let key = *key;
            self.order.pop_front();
            self.drop_begun(&key, &mut hear);
        }
        self.streams.end_tick();
        clear_marks(&mut self.hellos);
    }

    fn hello(&mut self, capture: &Capture<'_>, offset: u32, mut hear: impl FnMut(Heard)) {
        let flow = capture.flow();
        // Nearly every hello comes whole, and nothing has to be kept.
        if offset == 0
            && let Hello::Whole(asked) = client_hello(capture.bytes, AskedBy::TlsHello)
        {
            hear(Heard::Asked(flow, asked));
            return;
        }
        self.piece(flow, u64::from(offset), capture.bytes, None, &mut hear);
        self.speak(flow, AskedBy::TlsHello, capture.cut, &mut hear);
    }

    fn quic(&mut self, capture: &Capture<'_>, mut hear: impl FnMut(Heard)) {
        let flow = capture.flow();
        let begun = self.hellos.get(&flow);
        if begun.is_some_and(|begun| begun.spoken) {
            return;
        }
        let known = begun.and_then(|begun| begun.keys.as_ref());
        let Ok(opened) = initial(capture.bytes, known) else {
            self.unread = self.unread.saturating_add(1);
            return;
        };
        for (offset, bytes) in &opened.pieces {
            self.piece(flow, *offset, bytes, Some(&opened.keys), &mut hear);
        }
        self.speak(flow, AskedBy::QuicHello, false, &mut hear);
    }

    /// Keeps a piece of a flow's hello.
    fn piece(
        &mut self,
        flow: FlowKey,
        offset: u64,
        bytes: &[u8],
        keys: Option<&ClientKeys>,
        hear: &mut impl FnMut(Heard),
    ) {
        if !self.hellos.contains_key(&flow) {
            while self.hellos.len() >= SPEECH_MAX
                && let Some((oldest, _)) = self.order.pop_front()
            {
                self.drop_begun(&oldest, hear);
            }
            self.order.push_back((flow, self.tick));
        }
        let begun = self.hellos.entry(flow).or_default();
        if let Some(keys) = keys {
            // After a Retry the client begins anew under other keys, with the same hello.
            begun.keys = Some(keys.clone());
        }
        begun.add(offset, bytes);
    }

    /// Says what a flow's hello has come to.
    fn speak(&mut self, flow: FlowKey, by: AskedBy, cut: bool, hear: &mut impl FnMut(Heard)) {
        let Some(begun) = self.hellos.get_mut(&flow) else {
            return;
        };
        if begun.spoken {
            return;
        }
        let heard = match client_hello(begun.whole(), by) {
            Hello::Whole(asked) => Heard::Asked(flow, asked),
            Hello::Malformed => {
                self.unread = self.unread.saturating_add(1);
                Heard::Unread(flow, BlindReason::NoHandshake)
            }
            Hello::Part(all) if cut || all.is_some_and(|all| all > HELLO_BYTES_MAX) => {
                Heard::Unread(flow, BlindReason::TruncatedHello)
            }
            Hello::Part(_) => return,
        };
        // The key stays for a while: what a client sends again begins nothing new.
        *begun = Begun {
            spoken: true,
            ..Begun::default()
        };
        hear(heard);
    }

    fn target(&mut self, flow: FlowKey, asked: Option<Asked>, hear: &mut impl FnMut(Heard)) {
        match asked {
            Some(asked) => hear(Heard::Asked(flow, Box::new(asked))),
            None => self.unread = self.unread.saturating_add(1),
        }
    }

    fn message(&mut self, capture: &Capture<'_>, message: &[u8], hear: &mut impl FnMut(Heard)) {
        match (dns_answer(message), capture.netns_cookie) {
            (Ok(answer), Some(netns_cookie)) => hear(Heard::Answer {
                netns_cookie,
                answer,
                at_ns: capture.at_ns,
            }),
            // An answer that nobody can be told apart by is of no use.
            (Ok(_), None) => {}
            (Err(error), _) => {
                self.unread += u64::from(error == super::dns::DnsError::Malformed);
            }
        }
    }

    fn drop_begun(&mut self, key: &FlowKey, hear: &mut impl FnMut(Heard)) {
        if let Some(begun) = self.hellos.remove(key)
            && !begun.spoken
        {
            hear(Heard::Unread(*key, BlindReason::TruncatedHello));
        }
    }
}

impl Begun {
    /// Puts bytes to their place; what lies beyond the bound is left out.
    fn add(&mut self, offset: u64, bytes: &[u8]) {
        let Ok(from) = usize::try_from(offset) else {
            return;
        };
        let to = from.saturating_add(bytes.len()).min(HELLO_BYTES_MAX);
        if self.spoken || from >= to {
            return;
        }
        if self.bytes.len() < to {
            self.bytes.resize(to, 0);
        }
        if let (Some(place), Some(bytes)) = (self.bytes.get_mut(from..to), bytes.get(..to - from)) {
            place.copy_from_slice(bytes);
        }
        self.parts.push((from, to));
        self.parts.sort_unstable();
        self.parts.dedup_by(|next, part| {
            let touches = next.0 <= part.1;
            if touches {
                part.1 = part.1.max(next.1);
            }
            touches
        });
    }

    /// What is there without a gap from the start.
    fn whole(&self) -> &[u8] {
        let end = match self.parts.first() {
            Some((0, to)) => *to,
            Some(_) | None => 0,
        };
        self.bytes.get(..end).unwrap_or_default()
    }
}
