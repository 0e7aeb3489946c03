//! The scanner takes what `serde_json` takes, and nothing else.

use serde_json::value::RawValue;
use sluicegate_core::check_json;

/// `serde_json` on bytes that are UTF-8. Its recursion limit is off where it would say no to valid text.
fn oracle(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

fn agree(text: &str) {
    assert_eq!(check_json(text.as_bytes(), false).is_ok(), oracle(text), "{text:?}");
}

#[test]
fn every_short_text_over_the_alphabet_of_json() {
    let alphabet = [
        "{", "}", "[", "]", ":", ",", "\"", "\\", "1", "0", "-", ".", "e", "+", " ", "\n", "u", "true",
        "nul", "\t", "\"a\"", "\u{1}", "é",
    ];
    for one in alphabet {
        for two in alphabet {
            for three in alphabet {
                for four in alphabet {
                    agree(&[one, two, three, four].concat());
                }
            }
        }
    }
}

#[test]
fn mutations_of_a_real_event() {
    let event =
        r#"{"event":"Signed Up","properties":{"a":[1,-2.5e+3,{"b":null}],"c":"x\u00e9\n","d":true,"e":{}}} "#;
    let pieces =
        ["", "{", "}", "[", "]", ",", ":", "\"", "\\", "0", "-", ".", "e", " ", "\u{0}", "\u{FF}", "null"];
    for start in 0..=event.len() {
        for removed in 0..3 {
            for piece in pieces {
                let end = (start + removed).min(event.len());
                agree(&[&event[..start], piece, &event[end..]].concat());
            }
        }
    }
}

#[test]
fn errors_point_at_the_first_byte_that_cannot_go_on() {
    let cases: [(&str, usize); 26] = [
        ("", 0),
        ("  ", 2),
        ("{", 1),
        ("{\"a\"", 4),
        ("{\"a\":", 5),
        ("{\"a\":1,}", 7),
        ("{\"a\" 1}", 5),
        ("[1,]", 3),
        ("[1 2]", 3),
        ("[1", 2),
        ("nulx", 0),
        ("[nul", 1),
        ("01", 1),
        ("-", 1),
        ("-x", 1),
        ("[1.]", 3),
        ("\"a", 2),
        ("\"\\x\"", 2),
        ("\"\\u12g4\"", 5),
        ("\"\\u12", 5),
        ("\"a\u{1}\"", 2),
        ("{} x", 3),
        ("[}", 1),
        ("{]", 1),
        ("NaN", 0),
        ("[-Infinity]", 2),
    ];
    for (text, offset) in cases {
        assert_eq!(check_json(text.as_bytes(), false), Err(offset), "{text:?}");
    }
}

#[test]
fn the_lenient_words_are_values_only_when_asked_for() {
    for text in ["NaN", "Infinity", "-Infinity", "[NaN,-Infinity]", "{\"a\":Infinity}"] {
        assert_eq!(check_json(text.as_bytes(), true), Ok(()), "{text}");
        assert!(check_json(text.as_bytes(), false).is_err(), "{text}");
    }
    for (text, offset) in [("Nan", 0), ("-Infinit", 1), ("+Infinity", 0), ("NaNs", 3), ("-NaN", 1)] {
        assert_eq!(check_json(text.as_bytes(), true), Err(offset), "{text}");
    }
}

#[test]
fn a_million_brackets_need_no_stack() {
    const DEPTH: usize = 1_000_000;
    let closed = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
    assert_eq!(check_json(closed.as_bytes(), false), Ok(()));
    assert_eq!(check_json(&closed.as_bytes()[..2 * DEPTH - 1], false), Err(2 * DEPTH - 1));
    let mixed = "[{\"a\":".repeat(DEPTH) + "1" + &"}]".repeat(DEPTH);
    assert_eq!(check_json(mixed.as_bytes(), false), Ok(()));
    let wrong = "[{\"a\":".repeat(DEPTH) + "1" + &"}]".repeat(DEPTH / 2) + "]";
    assert_eq!(check_json(wrong.as_bytes(), false), Err(6 * DEPTH + 1 + DEPTH));
}
