//! Where a function of a Go program begins, by the table that every Go program carries and that stripping leaves in place
//! (`pclntab`, src/debug/gosym/pclntab.go of Go). Pure; believes no number in it.

/// Longest name that is compared.
const NAME_BYTES_MAX: usize = 256;

/// Address of a function; `None` where the table is none, is of a Go without register arguments on a processor with them
/// (before 1.17), or does not have it. `text` is where the code begins, for tables that do not say it.
pub fn function(table: &[u8], wanted: &str, text: u64) -> Option<u64> {
    let head = Head::of(table, text)?;
    // As many as there is room for, whatever the head says.
    let most = table.len() / (2 * head.entry_bytes);
    (0..head.functions.min(most)).find_map(|nth| {
        let (entry, data) = head.entry(table, nth)?;
        let at = head.functions_at.checked_add(data)?;
        let name = at.checked_add(head.entry_bytes)?;
        let name = usize::try_from(number(table, name, 4)?).ok()?;
        let name = head.names_at.checked_add(name)?;
        (text_at(table, name)? == wanted.as_bytes()).then_some(entry)
    })
}

/// What the table's head says.
struct Head {
    functions: usize,
    /// Added to what entries say.
    text: u64,
    names_at: usize,
    functions_at: usize,
    /// Bytes of each of an entry's two numbers, and of the entry's address in a function's data.
    entry_bytes: usize,
}

impl Head {
    fn of(table: &[u8], text: u64) -> Option<Self> {
        const FIELDS_AT: usize = 8;
        let magic = number(table, 0, 4)?;
        let word = usize::from(*table.get(7)?);
        if table.get(4..6)? != [0, 0] || word != 8 {
            return None;
        }
        let field = |nth: usize| number(table, FIELDS_AT + nth * word, word);
        let place = |nth: usize| usize::try_from(field(nth)?).ok();
        // Since 1.18 the third field is where the code begins, and entries are relative to it.
        let (is_relative, names, functions) = match magic {
            0xffff_fff0 | 0xffff_fff1 => (true, 3, 7),
            0xffff_fffa => (false, 2, 6),
            _ => return None,
        };
        let start = if is_relative { field(2)? } else { 0 };
        Some(Self {
            functions: place(0)?,
            text: if is_relative && start == 0 {
                text
            } else {
                start
            },
            names_at: place(names)?,
            functions_at: place(functions)?,
            entry_bytes: if is_relative { 4 } else { word },
        })
    }

    /// Address of the `nth` function, and where its data are.
    fn entry(&self, table: &[u8], nth: usize) -> Option<(u64, usize)> {
        let at = nth.checked_mul(2 * self.entry_bytes)?;
        let at = self.functions_at.checked_add(at)?;
        let entry = number(table, at, self.entry_bytes)?;
        let data = number(table, at + self.entry_bytes, self.entry_bytes)?;
        Some((self.text.checked_add(entry)?, usize::try_from(data).ok()?))
    }
}

/// A number in little-endian order.
fn number(table: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let bytes = table.get(at..at.checked_add(bytes)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

fn text_at(table: &[u8], at: usize) -> Option<&[u8]> {
    let end = table.len().min(at.checked_add(NAME_BYTES_MAX)?);
    table.get(at..end)?.split(|byte| *byte == 0).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of two functions, as Go of this magic number writes it.
    fn table(magic: u32, text: u64) -> Vec<u8> {
        let is_relative = magic != 0xffff_fffa;
        let (fields, entry) = if is_relative { (8, 4) } else { (7, 8) };
        let names_at = 8 + fields * 8;
        let names = b"main.main\0crypto/tls.(*Conn).Write\0";
        let functions_at = names_at + names.len();
        let mut table = magic.to_le_bytes().to_vec();
        table.extend([0, 0, 1, 8]);
        let mut all: Vec<u64> = vec![2, 0];
        if is_relative {
            all.push(text);
        }
        all.extend([names_at as u64, 0, 0, 0, functions_at as u64]);
        table.extend(all.iter().flat_map(|field| field.to_le_bytes()));
        table.extend(names);
        let put = |table: &mut Vec<u8>, number: u64| {
            table.extend(&number.to_le_bytes()[..entry]);
        };
        let data_at = 5 * entry as u64;
        for (nth, address) in [(0, 0x100), (1, 0x200)] {
            put(&mut table, address);
            put(&mut table, data_at + nth * (entry as u64 + 4));
        }
        put(&mut table, 0x300);
        for (address, name) in [(0x100, 0_u32), (0x200, 10)] {
            put(&mut table, address);
            table.extend(name.to_le_bytes());
        }
        table
    }

    #[test]
    fn functions_are_found_in_each_form() {
        for (magic, text, expected) in [
            (0xffff_fff1, 0x40_1000, Some(0x40_1200)),
            (0xffff_fff0, 0x40_1000, Some(0x40_1200)),
            (0xffff_fff1, 0, Some(0x7200)),
            (0xffff_fffa, 0, Some(0x200)),
            (0xffff_fffb, 0, None),
        ] {
            let table = table(magic, text);
            let found = function(&table, "crypto/tls.(*Conn).Write", 0x7000);
            assert_eq!(found, expected, "{magic:#x}");
            assert_eq!(function(&table, "crypto/tls.(*Conn).Read", 0x7000), None);
            for cut in 0..table.len() {
                let _ = function(&table[..cut], "crypto/tls.(*Conn).Write", 0);
            }
            for at in 0..table.len() {
                let mut broken = table.clone();
                broken[at] = 0xff;
                let _ = function(&broken, "nothing", u64::MAX);
            }
        }
    }
}
