//! Any lines as flow records of a report: each is read, refused or cut; what was read is priced, and rows sum to the total in
//! every form.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use observer_core::{
    model::money::Money,
    price::{
        book::{Book, BookSettings},
        place::Places,
    },
};
use observer_ledger::{
    group::By,
    lines::Read,
    priced,
    report::{Coverage, Report, focus},
    tally::{Tally, TallyError},
};

fuzz_target!(|data: &[u8]| {
    static BOOK: OnceLock<Book> = OnceLock::new();
    let book =
        BOOK.get_or_init(|| Book::with_shipped(&[], &BookSettings::default()).expect("whole"));
    let mut tally = Tally::new(focus::BY.to_vec(), None, &[book]);
    let mut read = Read::default();
    let mut bytes = 0;
    read.lines::<TallyError>(
        "f",
        data,
        |more| bytes += more,
        |flow| tally.add(flow, book),
    )
    .expect("a slice of few records");
    assert!(bytes <= data.len() as u64);
    assert_eq!(read.unreadable > 0, read.first_unreadable.is_some());
    let report = Report {
        by: tally.by().iter().map(By::word).collect(),
        priced: priced::price(&tally, book, &Places::default()),
        against: None,
        coverage: Coverage::of(read, &tally, None),
    };
    let rows: Money = report.priced.rows.iter().map(|row| row.cost).sum();
    let lines: Money = report.priced.lines.iter().map(|line| line.cost).sum();
    assert!(rows == report.priced.total.cost && lines == rows && rows >= Money::ZERO);
    assert!(!report.table().is_empty());
    assert!(report.csv().is_ok() && report.focus(focus::Focus::V1_4, book).is_ok());
    let page = report.html();
    assert!(!page.contains("<script") && page.ends_with("</html>\n"));
    assert!(report.json().is_object());
});
