//! HTTP/2 that programs encrypt: how far the kernel half has read a connection's sent stream, and what it hands over of a field
//! block (RFC 9113, section 4.3; RFC 7541): method and path up to the first `?`, indices, and that a field was put into the dynamic
//! table. No other name, no other value, and no length of one: an index counts from the newest entry on, so that what a table has
//! thrown out need not be known. Of DATA frames their lengths, summed up by stream.

use core::mem::size_of;

/// Connections that speak HTTP/2. LRU: who falls out is found again where a request of its begins a write.
pub const HTTP2_MAX: u32 = 8_192;

/// What a hand-over of fields is made of, behind [`Boundary`](super::request::Boundary): one byte of these, and what each says.
/// Numbers are in the host's byte order.
pub mod part {
    /// A field block begins: number of the block on this connection (u32), identifier of its stream (u32).
    pub const BLOCK: u8 = 1;
    /// An indexed field: its index (u16).
    pub const INDEXED: u8 = 2;
    /// `:path` as a literal: its bytes, a zero, [`text`](super::text) flags.
    pub const PATH: u8 = 3;
    /// `:method`, like [`PATH`].
    pub const METHOD: u8 = 4;
    /// Another field is put into the table.
    pub const INSERT: u8 = 5;
    /// The block has come to its end.
    pub const END: u8 = 6;
    /// Where frames begin is not known any more: blocks may have passed unseen.
    pub const LOST: u8 = 7;
    /// DATA frames of a stream have begun: its identifier (u32), bytes of the frames (u32).
    pub const DATA: u8 = 8;
}

/// Flags behind a text.
pub mod text {
    /// It is put into the table.
    pub const INSERTED: u8 = 1;
    /// More of it followed, and was not looked at.
    pub const CUT: u8 = 2;
    /// It is not what it has to be.
    pub const BROKEN: u8 = 4;
}

/// Bytes that one part has at the most, besides a text.
pub const PART_BYTES: usize = 9;

/// Where a connection's stream is being read.
pub mod place {
    /// In the client's preface (RFC 9113, section 3.4).
    pub const PREFACE: u8 = 0;
    /// In a frame's header.
    pub const HEADER: u8 = 1;
    /// At the length of a frame's padding.
    pub const PADDING: u8 = 2;
    /// In the priority of a HEADERS frame.
    pub const PRIORITY: u8 = 3;
    /// In a field block.
    pub const BLOCK: u8 = 4;
    /// In what is passed over.
    pub const PASS: u8 = 5;
    /// Not known.
    pub const LOST: u8 = 6;
    /// Behind the header of a HEADERS frame, before what it says: so many places of [`Frames::data`](super::Frames) are to be told.
    pub const TELL: u8 = 7;
}

/// Where a field is being read.
pub mod field {
    /// Before its first byte.
    pub const FIRST: u8 = 0;
    /// In its index.
    pub const INDEX: u8 = 1;
    pub const NAME_LENGTH: u8 = 2;
    pub const NAME_LENGTH_MORE: u8 = 3;
    pub const NAME: u8 = 4;
    pub const VALUE_LENGTH: u8 = 5;
    pub const VALUE_LENGTH_MORE: u8 = 6;
    /// In a value that is passed over.
    pub const VALUE: u8 = 7;
    /// In a value that is read.
    pub const TEXT: u8 = 8;
}

/// What a field is.
pub mod form {
    pub const INDEXED: u8 = 0;
    /// A literal that is put into the table.
    pub const INSERT: u8 = 1;
    /// A literal that is not.
    pub const PLAIN: u8 = 2;
    /// No field: another size of the table.
    pub const SIZE: u8 = 3;
}

/// Streams whose DATA frames are summed up at the same time; a power of two.
pub const DATA_STREAMS: usize = 8;

/// DATA frames of one stream that were not told of yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data {
    pub stream: u32,
    /// Bytes of the frames, with their headers.
    pub bytes: u32,
}

/// How far a connection's sent stream has been read. Of what fields say it holds nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Bytes that are left of the current [`place`].
    pub left: u32,
    /// Bytes of the current frame's block behind its priority.
    pub block: u32,
    /// Bytes of its padding.
    pub padding: u32,
    /// Payload of the current frame.
    pub length: u32,
    pub stream: u32,
    /// The highest stream that a field block was for.
    pub last_stream: u32,
    /// Field blocks so far, and gaps.
    pub blocks: u32,
    /// The number that is being read.
    pub number: u32,
    /// Bytes that are left of the current name or value.
    pub text: u32,
    /// Bytes of the current text that were handed over.
    pub taken: u32,
    pub place: u8,
    pub field: u8,
    pub form: u8,
    /// [`part::PATH`], [`part::METHOD`], or 0 for a field that is not read.
    pub target: u8,
    pub kind: u8,
    pub flags: u8,
    /// 1 = a field block has begun and not ended.
    pub is_open: u8,
    /// Bits of the number that is being read.
    pub shift: u8,
    /// 1 = the current text is coded.
    pub is_coded: u8,
    /// Where the decoding of the current text stands.
    pub node: u8,
    /// [`text`] flags of the current text.
    pub text_flags: u8,
    pub _pad: u8,
    /// By stream, each at the place that its identifier gives.
    pub data: [Data; DATA_STREAMS],
}

const _: () = assert!(size_of::<Frames>() == 116);
