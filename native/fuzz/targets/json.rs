//! The scanner takes what `serde_json` takes, and nothing else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use sluicegate_core::check_json;

fuzz_target!(|data: &[u8]| {
    // serde_json wants UTF-8; the scanner takes any byte from 80 (hex) on inside strings.
    let text: String = data.iter().map(|&byte| if byte < 0x80 { char::from(byte) } else { 'é' }).collect();
    let expected = serde_json::from_str::<&RawValue>(&text).is_ok();
    let actual = check_json(text.as_bytes(), false);
    assert_eq!(actual.is_ok(), expected, "{text:?}");
    assert_eq!(check_json(data, false).is_ok(), expected, "{data:?}");
    // What is valid is valid in the lenient form, too, and an error lies inside the text or at its end.
    assert!(!expected || check_json(data, true).is_ok());
    assert!(actual.err().unwrap_or(0) <= text.len());
});
