//! Any bytes as a bill: charges or an error that names the file, and then nothing of it is kept; held against an empty month,
//! each difference is the sum of its parts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_ledger::{
    bill::Bill,
    priced::Priced,
    reconcile::{reconcile, render},
};

fuzz_target!(|data: &[u8]| {
    let mut bill = Bill::default();
    if let Err(error) = bill.read("f", data) {
        assert!(error.to_string().starts_with("f:"));
        assert!(bill.charges.is_empty() && bill.lines == 0);
        return;
    }
    let priced = Priced::default();
    let found = reconcile(&priced, &bill);
    for cell in found.cells.values() {
        assert_eq!(cell.parts().sum(), cell.difference());
    }
    assert!(!render::table(&found, &bill, &priced).is_empty());
    assert!(render::json(&found, &bill, &priced).is_object());
});
