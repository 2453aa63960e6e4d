//! The code of RFC 7541, appendix B, four bits at a time. The code is canonical: the lengths alone give it.

/// Bits of each symbol's code; the last is the end of a string, which never stands in one.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, //
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, //
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, //
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, //
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, //
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, //
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, //
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, //
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, //
    30,
];
/// The longest code.
const LONGEST: u8 = 30;
/// Inner nodes of the code's tree: one less than it has leaves.
const NODES: usize = 256;

/// A step's entry: the symbol in the lowest byte, the next node in the one above, and flags.
pub const SYMBOL: u32 = 1 << 16;
/// No symbol begins so, or it is the end of a string.
pub const BROKEN: u32 = 1 << 17;

/// Steps of the decoder: by node and four bits.
pub type Steps = [u32; NODES * 16];

/// The entry for four bits at a node.
#[inline(always)]
#[must_use]
pub const fn step(steps: &Steps, node: u8, bits: u8) -> u32 {
    steps[(node as usize) << 4 | (bits & 15) as usize]
}

/// A code's place in the table: where its branches lead, a node or, from [`NODES`] on, a leaf.
const fn tree() -> [[u16; 2]; NODES] {
    let mut tree = [[0_u16; 2]; NODES];
    let mut nodes = 1;
    let mut code: u32 = 0;
    let mut length = 1;
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] == length {
                let mut at = 0;
                let mut bit = length - 1;
                while bit > 0 {
                    let branch = (code >> bit & 1) as usize;
                    if tree[at][branch] == 0 {
                        tree[at][branch] = nodes;
                        nodes += 1;
                    }
                    at = tree[at][branch] as usize;
                    bit -= 1;
                }
                tree[at][(code & 1) as usize] = (NODES + symbol) as u16;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    tree
}

/// The steps of the decoder.
#[must_use]
pub const fn steps() -> Steps {
    let tree = tree();
    let mut steps = [0; NODES * 16];
    let mut node = 0;
    while node < NODES {
        let mut bits = 0;
        while bits < 16 {
            let mut at = node;
            let mut entry = 0;
            let mut bit = 4;
            while bit > 0 {
                bit -= 1;
                let next = tree[at][bits >> bit & 1] as usize;
                at = if next < NODES {
                    next
                } else {
                    entry |= match next - NODES {
                        256 => BROKEN,
                        symbol => SYMBOL | symbol as u32,
                    };
                    0
                };
            }
            steps[node << 4 | bits] = entry | (at as u32) << 8;
            bits += 1;
        }
        node += 1;
    }
    steps
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn decode(coded: &[u8]) -> Vec<u8> {
        let steps = steps();
        let mut node = 0;
        let mut text = Vec::new();
        for byte in coded {
            for bits in [byte >> 4, byte & 15] {
                let entry = step(&steps, node, bits);
                assert_eq!(entry & BROKEN, 0);
                if entry & SYMBOL != 0 {
                    text.push(entry as u8);
                }
                node = (entry >> 8) as u8;
            }
        }
        text
    }

    /// RFC 7541, appendix C.
    #[test]
    fn examples_of_the_standard() {
        for (coded, text) in [
            (
                &[
                    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
                ][..],
                "www.example.com",
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (
                &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f],
                "custom-key",
            ),
            (&[0x64, 0x02], "302"),
            (&[0xae, 0xc3, 0x77, 0x1a, 0x4b], "private"),
        ] {
            assert_eq!(decode(coded), text.as_bytes());
        }
    }

    #[test]
    fn the_code_is_whole_and_its_end_is_broken() {
        let kraft = LENGTHS.iter().map(|length| 1_u64 << (LONGEST - length));
        assert_eq!(kraft.sum::<u64>(), 1 << LONGEST);
        let steps = steps();
        let mut node = 0;
        let mut last = 0;
        for _ in 0..8 {
            last = step(&steps, node, 15);
            node = (last >> 8) as u8;
        }
        assert_ne!(last & BROKEN, 0);
    }
}
