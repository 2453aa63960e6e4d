//! Finds where a field lies in a kernel struct, from the kernel's own BTF: rustc emits no CO-RE relocations, so the
//! loader hands such offsets to the programs as constants. Reads bytes, knows no map.
//! Format: Linux, Documentation/bpf/btf.rst.

const MAGIC: u16 = 0xeb9f;

/// Byte offset of `member` in `struct name`; `None` where the BTF has no such thing or cannot be read.
pub fn member_offset(btf: &[u8], name: &str, member: &str) -> Option<u32> {
    let sections = Sections::of(btf)?;
    let mut at = 0;
    while at < sections.types.len() {
        let head = words::<3>(sections.types, at)?;
        let (kind, count) = (head[1] >> 24 & 0x1f, (head[1] & 0xffff) as usize);
        at += 12;
        if kind == STRUCT && sections.string(head[0])? == name.as_bytes() {
            let whole = head[1] >> 31 == 0;
            return (0..count).find_map(|index| {
                let [name, _, offset] = words::<3>(sections.types, at + index * 12)?;
                let bits = if whole { offset } else { offset & 0x00ff_ffff };
                (sections.string(name)? == member.as_bytes()).then_some(bits / 8)
            });
        }
        at += trailing_bytes(kind, count)?;
    }
    None
}

const STRUCT: u32 = 4;

/// Bytes behind a type's three words.
fn trailing_bytes(kind: u32, count: usize) -> Option<usize> {
    match kind {
        // pointer, forward, typedef, volatile, const, restrict, function, float, type tag
        2 | 7..=12 | 16 | 18 => Some(0),
        // integer, variable, declaration tag
        1 | 14 | 17 => Some(4),
        // array
        3 => Some(12),
        // enum, function prototype
        6 | 13 => Some(count * 8),
        // struct, union, data section, 64-bit enum
        4 | 5 | 15 | 19 => Some(count * 12),
        _ => None,
    }
}

struct Sections<'a> {
    types: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Sections<'a> {
    fn of(btf: &'a [u8]) -> Option<Self> {
        if u16::from_ne_bytes(btf.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let [header, type_offset, type_bytes, string_offset, string_bytes] = words::<5>(btf, 4)?;
        let section = |offset: u32, bytes: u32| {
            let start = header.checked_add(offset)? as usize;
            btf.get(start..start.checked_add(bytes as usize)?)
        };
        Some(Self {
            types: section(type_offset, type_bytes)?,
            strings: section(string_offset, string_bytes)?,
        })
    }

    fn string(&self, offset: u32) -> Option<&'a [u8]> {
        self.strings
            .get(offset as usize..)?
            .split(|byte| *byte == 0)
            .next()
    }
}

fn words<const N: usize>(bytes: &[u8], at: usize) -> Option<[u32; N]> {
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        let start = at + index * 4;
        *word = u32::from_ne_bytes(bytes.get(start..start + 4)?.try_into().ok()?);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct ab { int x; int y; }` behind an integer type.
    fn sample() -> Vec<u8> {
        let types: Vec<u32> = vec![1, 1 << 24, 4, 32, 5, (4 << 24) | 2, 8, 8, 1, 0, 10, 1, 32];
        let strings = b"\0int\0ab\0x\0y\0";
        let mut btf = Vec::new();
        btf.extend(MAGIC.to_ne_bytes());
        btf.extend([1, 0]);
        for word in [
            24u32,
            0,
            types.len() as u32 * 4,
            types.len() as u32 * 4,
            strings.len() as u32,
        ] {
            btf.extend(word.to_ne_bytes());
        }
        btf.extend(types.iter().flat_map(|word| word.to_ne_bytes()));
        btf.extend(strings);
        btf
    }

    #[test]
    fn members_are_found_by_name() {
        let btf = sample();
        let cases = [
            ("ab", "x", Some(0)),
            ("ab", "y", Some(4)),
            ("ab", "z", None),
            ("int", "x", None),
        ];
        for (name, member, offset) in cases {
            assert_eq!(member_offset(&btf, name, member), offset, "{name}.{member}");
        }
    }

    #[test]
    fn cut_btf_is_no_panic() {
        let btf = sample();
        for length in 0..btf.len() {
            let _ = member_offset(&btf[..length], "ab", "y");
        }
        assert_eq!(member_offset(b"not btf at all", "ab", "x"), None);
    }
}
