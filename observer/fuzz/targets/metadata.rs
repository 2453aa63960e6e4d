//! What a metadata service answers, of any bytes: an error, or values that are identifiers. The executable has no library
//! part, so its two pure files are compiled in here.

#![no_main]

#[path = "../../src/place/answer.rs"]
mod answer;
#[path = "../../src/place/field.rs"]
mod field;

use answer::{Form, parse};
use field::Field;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    let form = match kind % 4 {
        0 => Form::AwsDocument,
        1 => Form::AzureCompute,
        2 => Form::GcpZone,
        _ => Form::Value(Field::ALL[usize::from(*kind) / 4 % Field::ALL.len()]),
    };
    match parse(form, bytes) {
        Err(broken) => assert!(!broken.to_string().is_empty()),
        Ok(values) => {
            for (at, (field, value)) in values.iter().enumerate() {
                let first = values.iter().position(|(other, _)| other == field);
                assert_eq!(first, Some(at), "`{}` twice", field.word());
                let Some(value) = value else { continue };
                assert!(!value.is_empty() && value.len() <= 255);
                assert!(value.bytes().all(|byte| byte.is_ascii_graphic()));
                assert!(!value.contains(['"', '\\', '<', '/']));
            }
        }
    }
});
