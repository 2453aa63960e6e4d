//! Where in an executable or a library requests are encrypted: OpenSSL, GnuTLS and rustls by their symbols, exported or
//! not, Go by its own table. Reads the parts of the file that it needs, and believes no number in them.

use std::{fs::File, io::BufReader};

use object::{
    Architecture, Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol, ReadCache,
    ReadRef,
};

use super::{
    golang,
    prologue::{CODE_BYTES, probe_at},
};

/// What is attached where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `SSL_write`, `SSL_write_ex`, and GnuTLS's functions of the same first arguments.
    LibraryWrite,
    /// `SSL_free`, `gnutls_deinit`.
    LibraryFree,
    /// `rustls::Writer::write`.
    RustlsWrite,
    /// `rustls::Writer::write_vectored`.
    RustlsWritePieces,
    /// `crypto/tls.(*Conn).Write`.
    GoWrite,
}

/// Which places a file has, by offset in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypter {
    pub places: Vec<(Place, u64)>,
}

const FUNCTIONS: [(&str, Place); 6] = [
    ("SSL_write", Place::LibraryWrite),
    ("SSL_write_ex", Place::LibraryWrite),
    ("SSL_free", Place::LibraryFree),
    ("gnutls_record_send", Place::LibraryWrite),
    ("gnutls_record_send2", Place::LibraryWrite),
    ("gnutls_deinit", Place::LibraryFree),
];

/// Programs of another one pass their arguments otherwise.
const ARCHITECTURE: Architecture = if cfg!(target_arch = "x86_64") {
    Architecture::X86_64
} else {
    Architecture::Aarch64
};

const RUSTLS: &str = "rustls";

/// Names of the section that Go's table lies in.
const GO_TABLES: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
const GO_TABLE_BYTES_MAX: u64 = 256 << 20;
const GO_WRITE: &str = "crypto/tls.(*Conn).Write";

/// `None` where there is nothing to attach to.
pub fn encrypter(file: &File) -> Option<Encrypter> {
    let reader = BufReader::new(file.try_clone().ok()?);
    let cache = ReadCache::new(reader);
    let object = object::File::parse(&cache).ok()?;
    if object.architecture() != ARCHITECTURE {
        return None;
    }
    let mut places = libraries(&object);
    places.extend(go(&object));
    let has_write = places.iter().any(|(place, _)| *place != Place::LibraryFree);
    has_write.then_some(Encrypter { places })
}

/// Exported symbols; where they have none of it, those for debuggers.
fn libraries<'d, R: ReadRef<'d>>(object: &object::File<'d, R>) -> Vec<(Place, u64)> {
    let places = of_symbols(object, object.dynamic_symbols());
    if places.is_empty() {
        return of_symbols(object, object.symbols());
    }
    places
}

fn of_symbols<'d, R: ReadRef<'d>, S: ObjectSymbol<'d>>(
    object: &object::File<'d, R>,
    symbols: impl Iterator<Item = S>,
) -> Vec<(Place, u64)> {
    let mut found = Vec::new();
    for symbol in symbols.filter(ObjectSymbol::is_definition) {
        let known = symbol.name_bytes().ok().and_then(|name| {
            let mut known = FUNCTIONS.iter();
            let known = known.find(|(known, _)| known.as_bytes() == name).copied();
            known.or_else(|| rustls_write(name).map(|place| (RUSTLS, place)))
        });
        let Some((name, place)) = known else {
            continue;
        };
        if let Some(offset) = probe_offset(object, symbol.address(), place) {
            found.push((name, place, offset));
        }
    }
    // Where both are there, the one ends in the other.
    if found
        .iter()
        .any(|(name, ..)| *name == "gnutls_record_send2")
    {
        found.retain(|(name, ..)| *name != "gnutls_record_send");
    }
    found
        .into_iter()
        .map(|(_, place, offset)| (place, offset))
        .collect()
}

/// Which function of `<rustls::conn::connection::Writer as std::io::Write>` a symbol is, in either of Rust's manglings; the hash in it
/// is each build's own.
fn rustls_write(symbol: &[u8]) -> Option<Place> {
    const LEGACY: &str = "$LT$rustls..conn..connection..Writer$u20$as$u20$std..io..Write$GT$";
    const FUNCTIONS: [(&str, Place); 2] = [
        ("5write", Place::RustlsWrite),
        ("14write_vectored", Place::RustlsWritePieces),
    ];
    let symbol = str::from_utf8(symbol).ok()?;
    let is = |function: &str| {
        let is_v0 = symbol.starts_with("_R")
            && symbol.contains("6rustls4conn10connection")
            && symbol.contains("6Writer")
            && symbol.ends_with(&format!("5Write{function}"));
        is_v0 || symbol.starts_with("_ZN") && symbol.contains(&format!("{LEGACY}{function}17h"))
    };
    if !symbol.contains("rustls") {
        return None;
    }
    FUNCTIONS
        .into_iter()
        .find_map(|(function, place)| is(function).then_some(place))
}

/// Registers carry arguments on these processors; the kernel half reads those of this one.
fn go<'d, R: ReadRef<'d>>(object: &object::File<'d, R>) -> Option<(Place, u64)> {
    if object.architecture() != Architecture::X86_64 {
        return None;
    }
    let mut tables = GO_TABLES
        .iter()
        .filter_map(|name| object.section_by_name(name));
    let table = tables.next()?;
    if table.size() > GO_TABLE_BYTES_MAX {
        return None;
    }
    let text = object
        .section_by_name(".text")
        .map_or(0, |text| text.address());
    let address = golang::function(table.data().ok()?, GO_WRITE, text)?;
    let place = Place::GoWrite;
    Some((place, probe_offset(object, address, place)?))
}

/// Where in the file the probe of a function at this address belongs.
fn probe_offset<'d, R: ReadRef<'d>>(
    object: &object::File<'d, R>,
    address: u64,
    place: Place,
) -> Option<u64> {
    let offset = file_offset(object, address)?;
    if object.architecture() != Architecture::X86_64 {
        return Some(offset);
    }
    let code = object
        .segments()
        .find_map(|segment| segment.data_range(address, CODE_BYTES).ok().flatten());
    offset.checked_add(probe_at(code.unwrap_or_default(), place))
}

/// Where in the file an address of its image lies.
pub fn file_offset<'d, R: ReadRef<'d>>(object: &object::File<'d, R>, address: u64) -> Option<u64> {
    object.segments().find_map(|segment| {
        let inside = address.checked_sub(segment.address())?;
        let (offset, length) = segment.file_range();
        (inside < length).then(|| offset.checked_add(inside))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_of_rustls_is_told_by_its_symbol() {
        const LEGACY: &str =
            "_ZN67_$LT$rustls..conn..connection..Writer$u20$as$u20$std..io..Write$GT$";
        const V0: &str = "_RNvXs1_NtNtCsdEYYTK3ahcB_6rustls4conn10connectionNtB5_6WriterNtNt\
                          Cs3LdDMEjGbQs_3std2io5Write";
        let (whole, pieces) = (Some(Place::RustlsWrite), Some(Place::RustlsWritePieces));
        for (symbol, expected) in [
            (format!("{LEGACY}5write17h5e1e28e024ed7ecaE"), whole),
            (
                format!("{LEGACY}14write_vectored17h3784edc8c6fa2ae9E"),
                pieces,
            ),
            (format!("{LEGACY}5flush17h1a8574cd3e0a4f53E"), None),
            (format!("{V0}5write"), whole),
            (format!("{V0}14write_vectored"), pieces),
            (format!("{V0}5flush"), None),
            ("SSL_write".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(rustls_write(symbol.as_bytes()), expected, "{symbol}");
        }
    }

    /// The test's own executable has rustls in it.
    #[test]
    fn what_is_no_object_has_nothing() {
        let file = File::open("/proc/self/exe").expect("the own executable");
        let found = encrypter(&file).map_or_else(Vec::new, |found| found.places);
        let is_rustls = |(place, _): &(Place, u64)| {
            matches!(place, Place::RustlsWrite | Place::RustlsWritePieces)
        };
        assert!(found.iter().all(is_rustls), "{found:?}");
        let file = File::open("/etc/passwd").expect("a text");
        assert_eq!(encrypter(&file), None);
    }
}
