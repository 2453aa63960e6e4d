//! The sent stream of an HTTP/2 connection, byte by byte, in as many pieces as it comes: frames (RFC 9113) and, of HEADERS and
//! CONTINUATION, fields (RFC 7541). Says method and path up to the first `?`, and what happens to the dynamic table; passes over
//! the rest unread. Pure; compiled natively too.

use crate::{
    abi::{
        http2::{
            DATA_STREAMS, Frames, PART_BYTES, field,
            part::{self, BLOCK, END},
            place, text,
        },
        request::ROOM_BYTES,
    },
    huffman::Steps,
};

mod data;
mod fields;

/// The client's preface begins so (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 8] = b"PRI * HT";
pub const PREFACE_BYTES: u32 = 24;
pub const HEADER_BYTES: u32 = 9;
const PRIORITY_BYTES: u32 = 5;
/// Servers that take longer frames are not known.
const FRAME_MOST: u32 = 1 << 20;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const PRIORITY_UPDATE: u8 = 16;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const HAS_PRIORITY: u8 = 32;

/// Indices of a request's pseudo fields in the static table (RFC 7541, appendix A).
const PSEUDO_LAST: u32 = 7;
const DYNAMIC_FIRST: u32 = 62;

/// Where what is read is put: bytes, and how many there are. When there is no room for more, `is_full` is not 0 from then on.
pub struct Output<'o> {
    pub bytes: &'o mut [u8; ROOM_BYTES],
    pub used: &'o mut u32,
    pub is_full: &'o mut u8,
}

impl Output<'_> {
    #[inline(always)]
    fn push(&mut self, byte: u8) {
        let at = *self.used as usize & (ROOM_BYTES - 1);
        self.bytes[at] = byte;
        *self.used = at as u32 + 1;
    }

    /// Whether there is room for one more part, and text.
    #[inline(always)]
    fn has_room(&mut self) -> bool {
        const MOST: u32 = (ROOM_BYTES - 2 * PART_BYTES) as u32;
        if *self.used >= MOST {
            *self.is_full = 1;
        }
        *self.is_full == 0
    }

    #[inline(always)]
    fn push_u16(&mut self, number: u16) {
        let [one, other] = number.to_ne_bytes();
        self.push(one);
        self.push(other);
    }

    #[inline(always)]
    fn push_u32(&mut self, number: u32) {
        let [a, b, c, d] = number.to_ne_bytes();
        self.push(a);
        self.push(b);
        self.push(c);
        self.push(d);
    }
}

/// Whether `first`, the first byte highest, is a frame's header that can begin a request of `length` bytes, with what follows it.
/// For connections that were not followed from their start: a request of a client is told from an answer by its fields.
#[inline(always)]
#[must_use]
pub const fn begins_request(first: u128, length: u32) -> bool {
    let payload = (first >> 104) as u32;
    let kind = (first >> 96) as u8;
    let flags = (first >> 88) as u8;
    let stream = (first >> 56) as u32;
    let fields = (first >> 40) as u16;
    let has_fields = kind == HEADERS
        && flags & (END_HEADERS | PADDED | HAS_PRIORITY) == END_HEADERS
        && payload >= 2
        && payload <= 1 << 14
        && payload <= length.saturating_sub(HEADER_BYTES);
    has_fields && stream & 1 == 1 && stream >> 31 == 0 && {
        let (one, other) = ((fields >> 8) as u8, fields as u8);
        is_pseudo(one) || (one as u32 & 0x7f >= DYNAMIC_FIRST && one >= 0x80 && is_pseudo(other))
    }
}

/// Whether `first` is the header of a frame whose length its kind gives. For connections that are known to speak HTTP/2 and were
/// not followed for a while.
#[inline(always)]
#[must_use]
pub const fn begins_small_frame(first: u128) -> bool {
    let length = (first >> 104) as u32;
    let kind = (first >> 96) as u8;
    let flags = (first >> 88) as u8;
    let stream = (first >> 56) as u32;
    match kind {
        WINDOW_UPDATE => length == 4 && flags == 0 && stream >> 31 == 0,
        RST_STREAM => length == 4 && flags == 0 && stream & 1 == 1 && stream >> 31 == 0,
        PING => length == 8 && flags <= 1 && stream == 0,
        SETTINGS => (length == 0) == (flags == 1) && length <= 60 && flags <= 1 && stream == 0,
        _ => false,
    }
}

/// Whether `first` is the header of what follows a preface: settings, perhaps none (RFC 9113, section 3.4).
#[inline(always)]
#[must_use]
pub const fn begins_settings(first: u128) -> bool {
    let length = (first >> 104) as u32;
    let kind_flags_stream = (first >> 56) as u64 & 0xffff_ffff_ffff;
    length.is_multiple_of(6) && length <= FRAME_MOST && kind_flags_stream == (SETTINGS as u64) << 40
}

/// Whether a field's first byte is that of a request's pseudo field.
const fn is_pseudo(byte: u8) -> bool {
    let index = match byte {
        0x80.. => byte & 0x7f,
        0x40..0x80 => byte & 0x3f,
        0..0x20 => byte & 0x0f,
        0x20..0x40 => 0,
    };
    index != 0 && index as u32 <= PSEUDO_LAST
}

impl Frames {
    /// Before a client's preface.
    #[inline(always)]
    pub const fn begin(&mut self) {
        self.place = place::PREFACE;
        self.left = PREFACE_BYTES;
        self.is_open = 0;
        self.field = field::FIRST;
        self.blocks = 0;
        self.last_stream = 0;
        self.forget_data();
    }

    /// At the first frame's header.
    #[inline(always)]
    pub const fn begin_behind_preface(&mut self) {
        self.begin();
        self.place = place::HEADER;
        self.left = HEADER_BYTES;
    }

    /// At a frame's header, of a stream that was not followed until here.
    #[inline(always)]
    pub const fn begin_late(&mut self) {
        self.place = place::HEADER;
        self.left = HEADER_BYTES;
        self.is_open = 0;
        self.field = field::FIRST;
        self.blocks = self.blocks.wrapping_add(1);
        self.forget_data();
    }

    /// Whether it has not begun: the preface is never without bytes that are left.
    #[inline(always)]
    #[must_use]
    pub const fn is_blank(&self) -> bool {
        self.place == place::PREFACE && self.left == 0
    }

    /// Whether the next byte is a frame's first.
    #[inline(always)]
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        self.place == place::HEADER && self.left == HEADER_BYTES
    }

    /// Bytes that need not be looked at; 0 where the next one must be.
    #[inline(always)]
    #[must_use]
    pub const fn idle(&self) -> u32 {
        match self.place {
            place::PREFACE | place::PRIORITY | place::PASS => self.left,
            place::LOST => u32::MAX,
            place::BLOCK if self.field == field::NAME || self.field == field::VALUE => {
                if self.text < self.left {
                    self.text
                } else {
                    self.left
                }
            }
            _ => 0,
        }
    }

    /// Passes over bytes, as many as are idle at the most.
    #[inline(always)]
    pub fn pass(&mut self, bytes: u32, out: &mut Output<'_>) {
        if self.place == place::LOST {
            return;
        }
        self.left = self.left.wrapping_sub(bytes);
        if self.place == place::BLOCK {
            self.text = self.text.wrapping_sub(bytes);
            if self.text == 0 {
                self.end_string(out);
            }
        }
    }

    /// Takes in the next byte, which is not idle.
    #[inline(always)]
    pub fn take(&mut self, byte: u8, steps: &Steps, out: &mut Output<'_>) {
        self.left = self.left.wrapping_sub(1);
        match self.place {
            place::HEADER => self.header(byte),
            place::PADDING => {
                self.padding = u32::from(byte);
                let before = self.priority_bytes();
                let all = 1 + self.padding + before;
                if all > self.length {
                    self.lose(out);
                    return;
                }
                self.block = self.length.wrapping_sub(all);
                self.place = place::PRIORITY;
                self.left = before;
            }
            _ => self.field(byte, steps, out),
        }
    }

    /// Takes in a frame's header at once, between frames.
    #[inline(always)]
    pub const fn take_header(&mut self, header: &[u8; HEADER_BYTES as usize]) {
        let [a, b, c, kind, flags, stream @ ..] = *header;
        self.length = u32::from_be_bytes([0, a, b, c]);
        self.kind = kind;
        self.flags = flags;
        self.stream = u32::from_be_bytes(stream);
        self.left = 0;
    }

    /// Takes in the next bytes.
    #[cfg(not(target_arch = "bpf"))]
    pub fn read(&mut self, bytes: &[u8], steps: &Steps, out: &mut Output<'_>) {
        let mut rest = bytes;
        loop {
            let idle = self.idle() as usize;
            if self.is_due() {
                self.settle(out);
            } else if self.place == place::TELL {
                self.tell_data(out);
            } else if self.is_between_frames()
                && let Some((header, behind)) = rest.split_first_chunk()
            {
                self.take_header(header);
                rest = behind;
            } else if let Some((first, behind)) = rest.split_first() {
                let n = idle.min(rest.len());
                if n == 0 {
                    self.take(*first, steps, out);
                    rest = behind;
                } else {
                    self.pass(n as u32, out);
                    rest = &rest[n..];
                }
            } else {
                return;
            }
        }
    }

    /// Ends the following where nothing can be told: that a block is missing shows by the number of the next one.
    #[inline(always)]
    pub const fn give_up(&mut self) {
        self.place = place::LOST;
        self.is_open = 0;
        self.blocks = self.blocks.wrapping_add(1);
    }

    /// Gives up following, and tells.
    #[inline(always)]
    pub fn lose(&mut self, out: &mut Output<'_>) {
        let is_in_text = self.is_open != 0 && self.target != 0 && self.field >= field::VALUE;
        self.give_up();
        if out.has_room() {
            if is_in_text {
                out.push(0);
                out.push(text::BROKEN);
            }
            out.push(part::LOST);
        }
    }

    #[inline(always)]
    fn header(&mut self, byte: u8) {
        let byte_u32 = u32::from(byte);
        match HEADER_BYTES.wrapping_sub(self.left) {
            1 => self.length = byte_u32,
            2 | 3 => self.length = self.length << 8 | byte_u32,
            4 => self.kind = byte,
            5 => self.flags = byte,
            6 => self.stream = byte_u32,
            _ => self.stream = self.stream << 8 | byte_u32,
        }
    }

    /// Whether nothing is left of a place, so that [`settle`](Self::settle) comes before the next byte, even if there is none.
    #[inline(always)]
    #[must_use]
    pub const fn is_due(&self) -> bool {
        self.left == 0 && self.place != place::LOST
    }

    /// Goes on to what follows the last byte of a place.
    #[inline(always)]
    pub fn settle(&mut self, out: &mut Output<'_>) {
        match self.place {
            place::HEADER => self.begin_frame(out),
            place::TELL => self.begin_block(out),
            place::PREFACE => {
                self.place = place::PASS;
            }
            _ => {}
        }
        if self.left != 0 {
            return;
        }
        if self.place == place::PRIORITY {
            self.place = place::BLOCK;
            self.left = self.block;
        }
        if self.place == place::BLOCK && self.left == 0 {
            self.place = place::PASS;
            self.left = self.padding;
            if self.flags & END_HEADERS != 0 {
                if self.field != field::FIRST {
                    self.lose(out);
                    return;
                }
                self.is_open = 0;
                if out.has_room() {
                    out.push(END);
                }
            }
        }
        if self.place == place::PASS && self.left == 0 {
            self.place = place::HEADER;
            self.left = HEADER_BYTES;
        }
    }

    #[inline(always)]
    fn begin_frame(&mut self, out: &mut Output<'_>) {
        if !self.is_plausible() {
            self.lose(out);
            return;
        }
        self.padding = 0;
        match self.kind {
            HEADERS => {
                self.place = place::TELL;
                self.left = DATA_STREAMS as u32;
            }
            CONTINUATION => {
                self.place = place::PRIORITY;
                self.block = self.length;
            }
            _ => {
                if self.kind == DATA {
                    self.count_data(out);
                }
                self.place = place::PASS;
                self.left = self.length;
            }
        }
    }

    #[inline(always)]
    fn begin_block(&mut self, out: &mut Output<'_>) {
        self.is_open = 1;
        self.field = field::FIRST;
        if self.stream > self.last_stream {
            self.last_stream = self.stream;
        }
        if out.has_room() {
            out.push(BLOCK);
            out.push_u32(self.blocks);
            out.push_u32(self.stream);
        }
        self.blocks = self.blocks.wrapping_add(1);
        if self.flags & PADDED != 0 {
            self.place = place::PADDING;
            self.left = 1;
            return;
        }
        self.place = place::PRIORITY;
        self.left = self.priority_bytes();
        self.block = self.length.wrapping_sub(self.left);
    }

    /// Bytes of the priority that stands before the current frame's block.
    #[inline(always)]
    const fn priority_bytes(&self) -> u32 {
        if self.flags & HAS_PRIORITY != 0 {
            PRIORITY_BYTES
        } else {
            0
        }
    }

    /// Whether a client can send such a frame now (RFC 9113, section 6).
    #[inline(always)]
    const fn is_plausible(&self) -> bool {
        let (length, stream) = (self.length, self.stream);
        if length > FRAME_MOST || stream >> 31 != 0 {
            return false;
        }
        if (self.kind == CONTINUATION) != (self.is_open != 0) {
            return false;
        }
        let is_request = stream & 1 == 1;
        match self.kind {
            DATA | CONTINUATION => is_request,
            HEADERS => {
                let before = (self.flags & PADDED != 0) as u32 + self.priority_bytes();
                // Trailers end their streams: what does not was seen before.
                let is_new = stream > self.last_stream || self.flags & END_STREAM != 0;
                is_request && is_new && length >= before
            }
            PRIORITY => length == PRIORITY_BYTES && stream != 0,
            RST_STREAM => length == 4 && stream != 0,
            WINDOW_UPDATE => length == 4,
            SETTINGS => stream == 0 && length.is_multiple_of(6),
            PING => stream == 0 && length == 8,
            GOAWAY => stream == 0 && length >= 8,
            PRIORITY_UPDATE => stream == 0 && length >= 4,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
