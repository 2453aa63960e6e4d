//! What is told of field blocks of HTTP/2, part by part. Knows no table.

use observer_ebpf::abi::{
    http2::{part, text},
    request::Boundary,
};

use super::wire::Wire as _;
use crate::model::signal::{Capture, CaptureKind, FieldPart, FieldText};

/// Parts of one hand-over. Ends at the first that is not whole.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Payload bytes of the flow before them, sent and received.
    pub begins: [u64; 2],
    /// There was more than could be told.
    pub is_cut: bool,
    rest: &'a [u8],
}

/// What a capture of fields says; `None` where it is none.
#[must_use]
pub fn fields<'a>(capture: &Capture<'a>) -> Option<Fields<'a>> {
    if capture.kind != CaptureKind::Fields {
        return None;
    }
    Fields::read(capture.bytes, capture.cut)
}

impl<'a> Fields<'a> {
    /// What the bytes of such a capture say; `None` where they are too short.
    #[must_use]
    pub fn read(bytes: &'a [u8], is_cut: bool) -> Option<Self> {
        let boundary = Boundary::read(bytes)?;
        Some(Self {
            begins: [boundary.sent, boundary.received],
            is_cut,
            rest: bytes.get(size_of::<Boundary>()..)?,
        })
    }

    /// Whether all of it was read.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_ne_bytes(*number))
    }

    fn text(&mut self) -> Option<FieldText<'a>> {
        let end = self.rest.iter().position(|byte| *byte == 0)?;
        let (said, rest) = self.rest.split_at_checked(end)?;
        let (&flags, rest) = rest.get(1..)?.split_first()?;
        self.rest = rest;
        let is_broken = flags & text::BROKEN != 0;
        Some(FieldText {
            text: str::from_utf8(said).ok().filter(|_| !is_broken),
            is_cut: flags & text::CUT != 0,
            is_inserted: flags & text::INSERTED != 0,
        })
    }

    fn part(&mut self) -> Option<FieldPart<'a>> {
        let (&kind, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(match kind {
            part::BLOCK => FieldPart::Block {
                number: self.number()?,
                stream: self.number()?,
            },
            part::INDEXED => {
                let (index, rest) = self.rest.split_first_chunk()?;
                self.rest = rest;
                FieldPart::Indexed(u16::from_ne_bytes(*index))
            }
            part::PATH => FieldPart::Path(self.text()?),
            part::METHOD => FieldPart::Method(self.text()?),
            part::INSERT => FieldPart::Insert,
            part::END => FieldPart::End,
            part::LOST => FieldPart::Lost,
            part::DATA => FieldPart::Data {
                stream: self.number()?,
                bytes: self.number()?,
            },
            _ => return None,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = FieldPart<'a>;

    fn next(&mut self) -> Option<FieldPart<'a>> {
        let before = self.rest;
        let part = self.part();
        if part.is_none() {
            self.rest = before;
        }
        part
    }
}
