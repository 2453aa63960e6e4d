//! A walk over foreign bytes that never goes beyond their end: every step that would is `None`.

/// What has not been read yet.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub const fn rest(&self) -> &'b [u8] {
        self.0
    }

    pub fn take(&mut self, bytes: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// Network byte order, as all that follow.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Bytes behind their length in one byte.
    pub fn list8(&mut self) -> Option<&'b [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    /// Bytes behind their length in two bytes.
    pub fn list16(&mut self) -> Option<&'b [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A variable-length integer of QUIC (RFC 9000, section 16).
    pub fn varint(&mut self) -> Option<u64> {
        let first = *self.0.first()?;
        let length = 1_usize << (first >> 6);
        let bytes = self.take(length)?;
        let high = u64::from(first & 0x3f);
        let value = |value, byte: &u8| value << 8 | u64::from(*byte);
        Some(bytes.iter().skip(1).fold(high, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_as_the_rfc_has_them() {
        // RFC 9000, appendix A.1.
        let cases: [(&[u8], Option<u64>); 7] = [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                Some(151_288_809_941_952_652),
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], Some(494_878_333)),
            (&[0x7b, 0xbd], Some(15_293)),
            (&[0x25], Some(37)),
            (&[0x40, 0x25], Some(37)),
            (&[0x40], None),
            (&[], None),
        ];
        for (bytes, value) in cases {
            assert_eq!(Reader::new(bytes).varint(), value, "{bytes:x?}");
        }
    }
}
