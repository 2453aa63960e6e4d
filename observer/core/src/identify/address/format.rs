//! The address file's bytes and back. Every length is checked before it is believed, so that a damaged file is an
//! error and never a panic or an endless allocation.
//!
//! ```text
//! magic 8 | sha256 of what follows 32 | length of the inflated body 4, little endian | body, zlib
//! ```
//!
//! The body is numbers of 7 bits a byte, low ones first, and texts of a length and UTF-8: date; sources; words; tags;
//! sets as ascending differences; then the networks as three columns (lengths, address differences, sets).

mod wire;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use self::wire::{Reader, Writer};
use super::{
    contents::{Contents, Source, TagKind, TagRow},
    prefix::Prefix,
};

/// Name and version of the layout.
pub const MAGIC: [u8; 8] = *b"obsaddr1";
const HEADER_BYTES: usize = MAGIC.len() + 32 + 4;
/// Longest body that is inflated; the embedded one has 440 KB.
pub const BODY_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum FormatError {
    #[error("read address table: `{0}` bytes are too few for a header")]
    Short(usize),
    #[error("read address table: the file begins with none of the layouts this build reads")]
    Magic,
    #[error("read address table: sha256 of the content is `{found}`, the header says `{stated}`")]
    Digest { stated: String, found: String },
    #[error(
        "read address table: a body of `{0}` bytes is longer than the limit of `{BODY_BYTES_MAX}`"
    )]
    Long(u32),
    #[error("read address table: the body does not inflate to its stated length")]
    Inflate,
    #[error("read address table: byte `{at}` of the body: {what}")]
    Body { at: usize, what: &'static str },
}

/// The file of these contents; the same contents give the same bytes.
#[must_use]
pub fn encode(contents: &Contents) -> Vec<u8> {
    let body = encode_body(contents);
    let mut checked = u32::try_from(body.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes()
        .to_vec();
    checked.extend(miniz_oxide::deflate::compress_to_vec_zlib(&body, 10));
    let mut file = MAGIC.to_vec();
    file.extend(Sha256::digest(&checked));
    file.extend(checked);
    file
}

/// SHA-256 of the inflated body, hexadecimal.
pub(super) fn body_sha256(contents: &Contents) -> String {
    hex(&Sha256::digest(encode_body(contents)))
}

pub fn decode(file: &[u8]) -> Result<Contents, FormatError> {
    let header = file
        .get(..HEADER_BYTES)
        .ok_or(FormatError::Short(file.len()))?;
    if header[..MAGIC.len()] != MAGIC {
        return Err(FormatError::Magic);
    }
    let stated = &header[MAGIC.len()..MAGIC.len() + 32];
    let found = Sha256::digest(&file[MAGIC.len() + 32..]);
    if stated != found.as_slice() {
        return Err(FormatError::Digest {
            stated: hex(stated),
            found: hex(&found),
        });
    }
    let mut length = [0; 4];
    length.copy_from_slice(&header[MAGIC.len() + 32..]);
    let length = u32::from_le_bytes(length);
    if length as usize > BODY_BYTES_MAX {
        return Err(FormatError::Long(length));
    }
    let body = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(
        &file[HEADER_BYTES..],
        length as usize,
    )
    .map_err(|_| FormatError::Inflate)?;
    if body.len() != length as usize {
        return Err(FormatError::Inflate);
    }
    decode_body(&body)
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn encode_body(contents: &Contents) -> Vec<u8> {
    let mut body = Writer(Vec::new());
    body.text(&contents.date);
    body.count(contents.sources.len());
    for source in &contents.sources {
        for text in [&source.name, &source.version, &source.date, &source.licence] {
            body.text(text);
        }
        body.number(source.verified.into());
        body.number(source.rows.into());
    }
    body.count(contents.words.len());
    for word in &contents.words {
        body.text(word);
    }
    body.count(contents.tags.len());
    for tag in &contents.tags {
        body.number(tag.source.into());
        body.number(tag.kind as u128);
        for word in tag.words() {
            body.number(word.into());
        }
    }
    body.count(contents.sets.len());
    for set in &contents.sets {
        body.count(set.len());
        let mut before = 0;
        for &tag in set {
            body.number(u128::from(tag) - before);
            before = u128::from(tag);
        }
    }
    encode_prefixes(&mut body, &contents.prefixes);
    body.0
}

/// As columns, because like numbers deflate better beside each other.
fn encode_prefixes(body: &mut Writer, prefixes: &[(Prefix, u32)]) {
    body.count(prefixes.len());
    for (prefix, _) in prefixes {
        body.number(prefix.prefix_length().into());
    }
    let mut before = 0;
    for (prefix, _) in prefixes {
        body.number(
            steps(prefix.bits(), prefix.prefix_length()) - steps(before, prefix.prefix_length()),
        );
        before = prefix.bits();
    }
    for (_, set) in prefixes {
        body.number((*set).into());
    }
}

/// How many networks of this length lie before the address.
fn steps(bits: u128, length: u8) -> u128 {
    bits.checked_shr(128 - u32::from(length)).unwrap_or(0)
}

fn decode_body(body: &[u8]) -> Result<Contents, FormatError> {
    let mut body = Reader::new(body);
    let date = body.text()?;
    let sources = body.list(|r| {
        Ok(Source {
            name: r.text()?,
            version: r.text()?,
            date: r.text()?,
            licence: r.text()?,
            verified: r.below(2, "a truth value above 1")? == 1,
            rows: r.below(u32::MAX, "a row count out of range")?,
        })
    })?;
    let words = body.list(Reader::text)?;
    let source_count = count(&sources);
    let tags = body.list(|r| tag(r, source_count, count(&words) + 1))?;
    let tag_count = count(&tags);
    let sets = body.list(|r| set(r, tag_count))?;
    let prefixes = prefixes(&mut body, count(&sets))?;
    if !body.is_at_end() {
        return Err(body.error("bytes behind the end"));
    }
    Ok(Contents {
        date,
        sources,
        words,
        tags,
        sets,
        prefixes,
    })
}

/// Lists are never longer than the body, which is below 2^32.
fn count<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

fn tag(r: &mut Reader<'_>, sources: u32, words: u32) -> Result<TagRow, FormatError> {
    let source = r.below(sources, "a source that is not listed")?;
    let kind = r.below(u8::MAX.into(), "a kind of tag out of range")?;
    let kind = u8::try_from(kind).ok().and_then(TagKind::from_number);
    let kind = kind.ok_or_else(|| r.error("a kind of tag that is not known"))?;
    let mut indices = [0; 7];
    for index in &mut indices {
        *index = r.below(words, "a word that is not listed")?;
    }
    Ok(TagRow::from_words(source, kind, indices))
}

fn set(r: &mut Reader<'_>, tags: u32) -> Result<Vec<u32>, FormatError> {
    let mut before = None;
    let set = r.list(|r| {
        let step = r.below(tags, "a tag that is not listed")?;
        let tag = before.map_or(Some(step), |b: u32| {
            b.checked_add(step).filter(|_| step > 0)
        });
        let tag = tag
            .filter(|tag| *tag < tags)
            .ok_or_else(|| r.error("a set that does not ascend"))?;
        before = Some(tag);
        Ok(tag)
    })?;
    match set.is_empty() {
        true => Err(r.error("an empty set")),
        false => Ok(set),
    }
}

fn prefixes(r: &mut Reader<'_>, sets: u32) -> Result<Vec<(Prefix, u32)>, FormatError> {
    let lengths = r.list(|r| r.below(129, "a prefix length above 128"))?;
    let mut found: Vec<(Prefix, u32)> = Vec::with_capacity(lengths.len());
    let mut before = 0;
    for length in lengths {
        let length = u8::try_from(length).map_err(|_| r.error("a prefix length above 128"))?;
        let step = r.number()?;
        let position = steps(before, length).checked_add(step);
        let position = position.ok_or_else(|| r.error("an address out of range"))?;
        let bits = position.checked_shl(128 - u32::from(length)).unwrap_or(0);
        if steps(bits, length) != position {
            return Err(r.error("an address out of range"));
        }
        let prefix = Prefix::new(bits, length).ok_or_else(|| r.error("an address out of range"))?;
        if found.last().is_some_and(|(last, _)| *last >= prefix) {
            return Err(r.error("networks that do not ascend"));
        }
        found.push((prefix, 0));
        before = bits;
    }
    for (_, set) in &mut found {
        *set = r.below(sets, "a set that is not listed")?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identify::address::{
        AddressTable, EMBEDDED,
        test_tables::{contents, small},
    };

    /// A body behind a header that vouches for it.
    fn vouched(body: &[u8]) -> Vec<u8> {
        let mut checked = u32::try_from(body.len())
            .expect("a test's body is short")
            .to_le_bytes()
            .to_vec();
        checked.extend(miniz_oxide::deflate::compress_to_vec_zlib(body, 1));
        [&MAGIC[..], &Sha256::digest(&checked), &checked].concat()
    }

    #[test]
    fn damaged_headers_are_named() {
        let file = encode(&small());
        assert_eq!(decode(&file[..10]), Err(FormatError::Short(10)));
        let mut magic = file.clone();
        magic[0] ^= 1;
        assert_eq!(decode(&magic), Err(FormatError::Magic));
        let mut digest = file.clone();
        digest[8] ^= 1;
        assert!(matches!(decode(&digest), Err(FormatError::Digest { .. })));
        let cut = &file[..file.len() - 1];
        assert!(matches!(decode(cut), Err(FormatError::Digest { .. })));
    }

    #[test]
    fn a_body_longer_than_stated_is_not_inflated() {
        let mut checked = 8u32.to_le_bytes().to_vec();
        checked.extend(miniz_oxide::deflate::compress_to_vec_zlib(
            &vec![0; 1 << 20],
            9,
        ));
        let file = [&MAGIC[..], &Sha256::digest(&checked), &checked].concat();
        assert_eq!(decode(&file), Err(FormatError::Inflate));
        let checked = u32::MAX.to_le_bytes();
        let file = [&MAGIC[..], &Sha256::digest(checked), &checked].concat();
        assert_eq!(decode(&file), Err(FormatError::Long(u32::MAX)));
    }

    #[test]
    fn every_cut_of_a_body_is_an_error() {
        let body = encode_body(&small());
        for length in 0..body.len() {
            assert!(decode_body(&body[..length]).is_err(), "cut at {length}");
        }
        assert_eq!(decode_body(&body), Ok(small()));
        assert_eq!(decode(&vouched(&body)), Ok(small()));
    }

    #[test]
    fn the_embedded_file_is_what_its_contents_encode_to() {
        let contents = decode(EMBEDDED).expect("the embedded file is whole");
        assert!(
            encode(&contents) == EMBEDDED,
            "the encoder has changed: build the file again"
        );
    }

    proptest! {
        #[test]
        fn contents_survive_the_file(contents in contents()) {
            prop_assert_eq!(decode(&encode(&contents)), Ok(contents));
        }

        #[test]
        fn mutated_files_are_errors(at in 0..EMBEDDED.len(), flip in 1u8..) {
            let mut file = EMBEDDED.to_vec();
            file[at] ^= flip;
            prop_assert!(AddressTable::from_bytes(&file).is_err());
        }

        /// Behind a digest that fits, damage may read as other contents; then they make a table.
        #[test]
        fn mutated_bodies_never_panic(
            contents in contents(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut body = encode_body(&contents);
            for (at, value) in damage {
                let at = at.index(body.len());
                body[at] = value;
            }
            if let Ok(table) = AddressTable::from_bytes(&vouched(&body)) {
                for (prefix, set) in table.prefixes() {
                    prop_assert_eq!(table.find(prefix.last()).is_some(), true);
                    let _ = table.identity(set);
                }
            }
        }

        #[test]
        fn foreign_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(decode(&body).is_err());
            let _ = decode_body(&body);
        }
    }
}
