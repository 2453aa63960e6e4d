//! Sizes as people write them: `12TB`, `1.5 TiB`, `100`. Decimal and binary units are told apart; there is no rounding.

const UNITS: [(&str, u64); 11] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("B", 1),
];

/// Bytes.
///
/// # Errors
/// Where the text is no size, or none of whole bytes below 2^64.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size such as `12TB`, `1.5TiB` or a number of bytes");
    let text = text.trim();
    let unit = UNITS.iter().find(|(word, _)| text.ends_with(word));
    let (number, factor) = match unit {
        Some((word, factor)) => (text.strip_suffix(word).unwrap_or_default().trim(), *factor),
        None => (text, 1),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) || part.len() > 12 {
        return Err(wrong());
    }
    let scale = 10_u128.pow(u32::try_from(part.len()).map_err(|_| wrong())?);
    let digits: u128 = format!("{whole}{part}").parse().map_err(|_| wrong())?;
    let bytes = digits.checked_mul(u128::from(factor)).ok_or_else(wrong)?;
    if bytes % scale != 0 {
        return Err(wrong());
    }
    u64::try_from(bytes / scale).map_err(|_| wrong())
}

/// The shortest text that is read back as the same bytes.
pub fn text(bytes: u64) -> String {
    let whole = UNITS
        .iter()
        .filter(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    match whole.max_by_key(|(_, factor)| *factor) {
        Some((word, factor)) => format!("{}{word}", bytes / factor),
        None => "0B".to_owned(),
    }
}

/// Three digits of it, cut: `13.5 TiB`.
#[must_use]
pub fn about(bytes: u64) -> String {
    let names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = (bytes.max(1).ilog2() / 10) as usize;
    let name = names.get(power).copied().unwrap_or_default();
    let hundredths = (u128::from(bytes) * 100) >> (10 * power);
    match hundredths {
        _ if power == 0 => format!("{bytes} B"),
        ..1_000 => format!("{}.{:02} {name}", hundredths / 100, hundredths % 100),
        1_000..10_000 => format!("{}.{} {name}", hundredths / 100, hundredths / 10 % 10),
        _ => format!("{} {name}", hundredths / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact() {
        for (text_of, bytes) in [
            ("12TB", Some(12_000_000_000_000)),
            ("12TiB", Some(12 << 40)),
            ("1.5 GiB", Some(3 << 29)),
            ("0.1kB", Some(100)),
            ("100", Some(100)),
            ("0", Some(0)),
            ("0.1KiB", None),
            ("12 tera", None),
            ("-1GB", None),
            ("", None),
            ("TB", None),
            ("1.2.3GB", None),
            ("99999999PB", None),
        ] {
            let read = parse(text_of);
            assert_eq!(read.clone().ok(), bytes, "{text_of}");
            if let Ok(bytes) = read {
                assert_eq!(parse(&text(bytes)), Ok(bytes), "{}", text(bytes));
            }
        }
    }

    #[test]
    fn about_is_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (14_293_651_161_095, "13.0 TiB"),
            (1 << 40, "1.00 TiB"),
            (1025 << 30, "1.00 TiB"),
            ((500 << 20) + 1, "500 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(about(bytes), text, "{bytes}");
        }
    }
}
