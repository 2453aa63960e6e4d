//! Fields (RFC 7541) of a connection's sent stream, byte by byte.

use super::{DYNAMIC_FIRST, Output};
use crate::{
    abi::{
        http2::{
            Frames, field, form,
            part::{INDEXED, INSERT, METHOD, PATH},
            text,
        },
        request::LINE_BYTES,
    },
    huffman::{self, BROKEN, SYMBOL, Steps},
    request::{Part, part},
};

/// Longer names and values are not believed.
const TEXT_MOST: u32 = 1 << 20;
/// Most indices are below; higher ones are told as this, which is nobody's.
const INDEX_MOST: u32 = 0xffff;
/// Indices of the static table (RFC 7541, appendix A).
const METHOD_FIRST: u32 = 2;
const METHOD_POST: u32 = 3;
const PATH_FIRST: u32 = 4;
const PATH_INDEX: u32 = 5;

impl Frames {
    #[inline(always)]
    pub(super) fn field(&mut self, byte: u8, steps: &Steps, out: &mut Output<'_>) {
        match self.field {
            field::FIRST => self.first(byte, out),
            field::NAME_LENGTH | field::VALUE_LENGTH => {
                self.is_coded = byte >> 7;
                self.number = u32::from(byte) & 0x7f;
                self.shift = 0;
                if self.number == 0x7f {
                    self.field += 1;
                } else {
                    self.length_known(out);
                }
            }
            field::TEXT => self.text(byte, steps, out),
            _ => {
                if self.shift > 21 {
                    self.lose(out);
                    return;
                }
                self.number = self
                    .number
                    .wrapping_add((u32::from(byte) & 0x7f) << (self.shift & 31));
                self.shift += 7;
                if byte & 0x80 == 0 {
                    if self.field == field::INDEX {
                        self.index_known(out);
                    } else {
                        self.length_known(out);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn first(&mut self, byte: u8, out: &mut Output<'_>) {
        let (form, most) = match byte {
            0x80.. => (form::INDEXED, 0x7f),
            0x40..0x80 => (form::INSERT, 0x3f),
            0x20..0x40 => (form::SIZE, 0x1f),
            0..0x20 => (form::PLAIN, 0x0f),
        };
        self.form = form;
        self.number = u32::from(byte & most);
        self.shift = 0;
        if byte & most == most {
            self.field = field::INDEX;
        } else {
            self.index_known(out);
        }
    }

    #[inline(always)]
    fn index_known(&mut self, out: &mut Output<'_>) {
        let number = self.number;
        self.field = field::FIRST;
        match self.form {
            form::INDEXED => {
                let says_something =
                    matches!(number, METHOD_FIRST..=PATH_INDEX) || number >= DYNAMIC_FIRST;
                if says_something && out.has_room() {
                    out.push(INDEXED);
                    out.push_u16(narrow(number));
                }
            }
            form::SIZE => {}
            _ => {
                self.target = match number {
                    METHOD_FIRST | METHOD_POST => METHOD,
                    PATH_FIRST | PATH_INDEX => PATH,
                    _ => 0,
                };
                self.field = if number == 0 {
                    field::NAME_LENGTH
                } else {
                    field::VALUE_LENGTH
                };
            }
        }
    }

    #[inline(always)]
    fn length_known(&mut self, out: &mut Output<'_>) {
        let number = self.number;
        if number > TEXT_MOST {
            self.lose(out);
            return;
        }
        self.text = number;
        if self.field <= field::NAME_LENGTH_MORE {
            self.field = field::NAME;
        } else {
            self.field = field::VALUE;
            if self.target != 0 {
                self.field = field::TEXT;
                self.node = 0;
                self.taken = 0;
                self.text_flags = 0;
                if out.has_room() {
                    out.push(self.target);
                }
            }
        }
        if number == 0 {
            self.end_string(out);
        }
    }

    #[inline(always)]
    fn text(&mut self, byte: u8, steps: &Steps, out: &mut Output<'_>) {
        self.text = self.text.wrapping_sub(1);
        if self.is_coded == 0 {
            self.symbol(byte, out);
        } else {
            self.bits(byte >> 4, steps, out);
            if self.field == field::TEXT {
                self.bits(byte & 15, steps, out);
            }
        }
        if self.text == 0 {
            self.end_string(out);
        }
    }

    #[inline(always)]
    fn bits(&mut self, bits: u8, steps: &Steps, out: &mut Output<'_>) {
        let entry = huffman::step(steps, self.node, bits);
        self.node = (entry >> 8) as u8;
        if entry & BROKEN != 0 {
            self.text_flags |= text::BROKEN;
            self.field = field::VALUE;
        } else if entry & SYMBOL != 0 {
            self.symbol(entry as u8, out);
        }
    }

    /// Puts a symbol of a text out; what follows its end is passed over.
    #[inline(always)]
    fn symbol(&mut self, byte: u8, out: &mut Output<'_>) {
        // No space stands in either.
        if matches!(part(byte, 1), Part::Ends) {
            self.field = field::VALUE;
            return;
        }
        if self.taken >= LINE_BYTES as u32 {
            self.text_flags |= text::CUT;
            self.field = field::VALUE;
            return;
        }
        if out.has_room() {
            out.push(byte);
            self.taken += 1;
        }
    }

    /// What follows the last byte of a name or a value.
    #[inline(always)]
    pub(super) fn end_string(&mut self, out: &mut Output<'_>) {
        if self.field == field::NAME {
            self.field = field::VALUE_LENGTH;
            return;
        }
        self.field = field::FIRST;
        let is_inserted = self.form == form::INSERT;
        if self.target != 0 {
            if out.has_room() {
                out.push(0);
                let inserted = if is_inserted { text::INSERTED } else { 0 };
                out.push(self.text_flags | inserted);
            }
        } else if is_inserted && out.has_room() {
            out.push(INSERT);
        }
    }
}

#[inline(always)]
const fn narrow(index: u32) -> u16 {
    if index > INDEX_MOST {
        INDEX_MOST as u16
    } else {
        index as u16
    }
}
