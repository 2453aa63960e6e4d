//! How much of what is sent is whose: DATA frames summed up by stream, and told of before another request begins, when their stream
//! ends, and every so many bytes. What finds no room to be told is nobody's.

use super::{END_STREAM, Frames, HEADER_BYTES, Output};
use crate::abi::{
    http2::{DATA_STREAMS, Data, part},
    request::ROOM_BYTES,
};

/// Bytes of one stream that are told of at the latest.
pub const TOLD_BYTES: u32 = 256 << 10;
/// Room that is left to requests.
const USED_MOST: u32 = ROOM_BYTES as u32 / 2;

impl Frames {
    #[inline(always)]
    pub(super) const fn forget_data(&mut self) {
        self.data = [Data {
            stream: 0,
            bytes: 0,
        }; DATA_STREAMS];
    }

    /// Counts the DATA frame that begins.
    #[inline(always)]
    pub(super) fn count_data(&mut self, out: &mut Output<'_>) {
        // Who has had one request alone shares nothing.
        if self.blocks < 2 {
            return;
        }
        let (stream, bytes) = (self.stream, self.length.wrapping_add(HEADER_BYTES));
        let ends = self.flags & END_STREAM != 0;
        let data = &mut self.data[(stream >> 1) as usize & (DATA_STREAMS - 1)];
        if data.stream != stream {
            tell(data, out);
            data.stream = stream;
        }
        data.bytes = data.bytes.wrapping_add(bytes);
        if ends || data.bytes >= TOLD_BYTES {
            tell(data, out);
        }
    }

    /// Tells what was counted so far of one more place. [`settle`](Self::settle) is to follow.
    #[inline(always)]
    pub fn tell_data(&mut self, out: &mut Output<'_>) {
        self.left = self.left.wrapping_sub(1);
        let data = &mut self.data[self.left as usize & (DATA_STREAMS - 1)];
        tell(data, out);
    }
}

#[inline(always)]
fn tell(data: &mut Data, out: &mut Output<'_>) {
    if data.bytes != 0 && *out.used < USED_MOST {
        out.push(part::DATA);
        out.push_u32(data.stream);
        out.push_u32(data.bytes);
    }
    data.bytes = 0;
}
