//! Finds where fields lie in kernel structs, from the kernel's own BTF: rustc emits no CO-RE relocations, so the loader
//! hands such offsets to the programs as constants. Reads bytes, knows no map.
//! Format: Linux, Documentation/bpf/btf.rst.

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
/// Anonymous structs inside one another that are looked into.
const NESTING_MAX: u32 = 8;

/// Byte offset of each (struct, member); `None` where the BTF has no such thing or cannot be read. A member of an anonymous
/// struct or union is found as if it were the outer one's.
pub fn member_offsets(btf: &[u8], wanted: &[(&str, &str)]) -> Vec<Option<u32>> {
    let Some(types) = Types::of(btf) else {
        return vec![None; wanted.len()];
    };
    let structs = types.structs(wanted);
    wanted
        .iter()
        .map(|(name, member)| types.offset(*structs.get(name)?, member, 0))
        .collect()
}

/// Every type of a BTF, by number.
struct Types<'a> {
    sections: Sections<'a>,
    /// Where each begins; type 0 is void.
    starts: Vec<usize>,
}

impl<'a> Types<'a> {
    fn of(btf: &'a [u8]) -> Option<Self> {
        let sections = Sections::of(btf)?;
        let mut starts = vec![usize::MAX];
        let mut at = 0;
        while at < sections.types.len() {
            let [_, info, _] = words::<3>(sections.types, at)?;
            starts.push(at);
            at += 12 + trailing_bytes(kind(info), count(info))?;
        }
        Some(Self { sections, starts })
    }

    /// Number of the first struct of each wanted name.
    fn structs<'b>(&self, wanted: &[(&'b str, &str)]) -> HashMap<&'b str, usize> {
        let names: HashMap<&[u8], &'b str> = wanted
            .iter()
            .map(|(name, _)| (name.as_bytes(), *name))
            .collect();
        let mut found = HashMap::new();
        for (number, at) in self.starts.iter().enumerate().skip(1) {
            let Some([name, info, _]) = words::<3>(self.sections.types, *at) else {
                continue;
            };
            if kind(info) != STRUCT || count(info) == 0 {
                continue;
            }
            if let Some(name) = self.sections.string(name).and_then(|name| names.get(name)) {
                found.entry(*name).or_insert(number);
            }
        }
        found
    }

    fn offset(&self, number: usize, wanted: &str, depth: u32) -> Option<u32> {
        let at = *self.starts.get(number)?;
        let [_, info, _] = words::<3>(self.sections.types, at)?;
        if !matches!(kind(info), STRUCT | UNION) || depth > NESTING_MAX {
            return None;
        }
        (0..count(info)).find_map(|index| {
            let [name, kind, offset] = words::<3>(self.sections.types, at + 12 + index * 12)?;
            // With bit fields the upper byte is a width.
            let bits = if info >> 31 == 0 {
                offset
            } else {
                offset & 0x00ff_ffff
            };
            let name = self.sections.string(name)?;
            if name == wanted.as_bytes() {
                return Some(bits / 8);
            }
            let inner = name.is_empty().then_some(kind as usize)?;
            Some(bits / 8 + self.offset(inner, wanted, depth + 1)?)
        })
    }
}

const fn kind(info: u32) -> u32 {
    info >> 24 & 0x1f
}

const fn count(info: u32) -> usize {
    (info & 0xffff) as usize
}

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

    /// `int`, an anonymous `union { int z; }`, and `struct ab { int x; union { int z; }; int y; }`.
    fn sample() -> Vec<u8> {
        let types: Vec<u32> = vec![
            1,
            1 << 24,
            4,
            32, // 1: int
            0,
            (5 << 24) | 1,
            4,
            12,
            1,
            0, // 2: union
            5,
            (4 << 24) | 3,
            12,
            8,
            1,
            0,
            0,
            2,
            32,
            10,
            1,
            64, // 3: struct
        ];
        let strings = b"\0int\0ab\0x\0y\0z\0";
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
        let cases = [
            ("ab", "x", Some(0)),
            ("ab", "z", Some(4)),
            ("ab", "y", Some(8)),
            ("ab", "w", None),
            ("int", "x", None),
        ];
        let wanted = cases.map(|(name, member, _)| (name, member));
        let expected = cases.map(|(_, _, offset)| offset);
        assert_eq!(member_offsets(&sample(), &wanted), expected);
    }

    #[test]
    fn cut_btf_is_no_panic() {
        let btf = sample();
        for length in 0..btf.len() {
            let _ = member_offsets(&btf[..length], &[("ab", "y"), ("ab", "z")]);
        }
        assert_eq!(member_offsets(b"not btf at all", &[("ab", "x")]), [None]);
    }
}
