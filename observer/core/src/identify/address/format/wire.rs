//! Numbers and texts as bytes and back. Knows lengths and limits, no layout.

use super::FormatError;

pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, mut number: u128) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push((number & 0x7f) as u8);
    }

    pub(super) fn count(&mut self, count: usize) {
        self.number(count as u128);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend(text.as_bytes());
    }
}

pub(super) struct Reader<'b> {
    body: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(body: &'b [u8]) -> Self {
        Self { body, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.body.len()
    }

    pub(super) fn error(&self, what: &'static str) -> FormatError {
        FormatError::Body { at: self.at, what }
    }

    pub(super) fn number(&mut self) -> Result<u128, FormatError> {
        let mut number = 0;
        for shift in (0..128).step_by(7) {
            let byte = *self
                .body
                .get(self.at)
                .ok_or_else(|| self.error("the body ends in a number"))?;
            self.at += 1;
            let low = u128::from(byte & 0x7f);
            if (low << shift) >> shift != low {
                break;
            }
            number |= low << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.error("a number of more than 128 bits"))
    }

    pub(super) fn below(&mut self, limit: u32, what: &'static str) -> Result<u32, FormatError> {
        let number = self.number()?;
        u32::try_from(number)
            .ok()
            .filter(|n| *n < limit)
            .ok_or_else(|| self.error(what))
    }

    pub(super) fn text(&mut self) -> Result<String, FormatError> {
        let length = self.length()?;
        let text = &self.body[self.at..self.at + length];
        let text = str::from_utf8(text).map_err(|_| self.error("a text that is not UTF-8"))?;
        self.at += length;
        Ok(text.into())
    }

    /// As many items as the count before them says.
    pub(super) fn list<T>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        let mut item = item;
        let length = self.length()?;
        // Not reserved by the count: a damaged one may ask for many times the body's size.
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(item(self)?);
        }
        items.shrink_to_fit();
        Ok(items)
    }

    /// A count of things of at least one byte each.
    pub(super) fn length(&mut self) -> Result<usize, FormatError> {
        let number = self.number()?;
        let rest = self.body.len() - self.at;
        usize::try_from(number)
            .ok()
            .filter(|n| *n <= rest)
            .ok_or_else(|| self.error("a count beyond the end"))
    }
}
