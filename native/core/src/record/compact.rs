//! A record's text as it is stored: no white space outside strings, strings repaired, `NaN` and its like null.

use super::item::Item;
use crate::json::walk::string_end;
use crate::json::{Found, Gap, Notes};
use crate::text::{REPLACEMENT, Sink, read_escape, repair};

/// Writes a record's text with every change that it needs.
#[inline]
pub fn put_compact(item: &Item, out: &mut impl Sink) {
    let Item { notes, is_utf8, .. } = *item;
    let only_blanks = !notes.nan && !notes.lone_surrogate && is_utf8;
    match item.gaps {
        _ if only_blanks && !notes.blanks => out.put(item.raw()),
        Some(gaps) if only_blanks => put_without(item, gaps, out),
        _ => put_mended(item.raw(), notes.lone_surrogate || !is_utf8, out),
    }
}

/// All but the gaps, which the scanner noted.
fn put_without(item: &Item, gaps: &[Gap], out: &mut impl Sink) {
    let Found { mut start, end, .. } = *item.found;
    for &(from, to) in gaps {
        out.put(&item.payload[start..from as usize]);
        start = to as usize;
    }
    out.put(&item.payload[start..end]);
}

/// Valid JSON (but for its UTF-8) without white space and with null for `NaN`, looked at byte by byte.
fn put_mended(text: &[u8], mend_strings: bool, out: &mut impl Sink) {
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let skipped = match text[at] {
            b'"' => {
                let end = string_end(text, at);
                if mend_strings {
                    out.put(&text[start..at]);
                    mend_string(&text[at..end], out);
                    start = end;
                }
                at = end;
                continue;
            }
            b' ' | b'\t' | b'\n' | b'\r' => 1,
            b'N' => "NaN".len(),
            b'I' => "Infinity".len(),
            b'-' if text[at + 1] == b'I' => "-Infinity".len(),
            _ => 0,
        };
        if skipped == 0 {
            at += 1;
            continue;
        }
        out.put(&text[start..at]);
        if skipped > 1 {
            out.put(b"null");
        }
        at += skipped;
        start = at;
    }
    out.put(&text[start..]);
}

/// A string with its quotes: escapes stay as written, lone surrogates and invalid UTF-8 are replaced.
fn mend_string(string: &[u8], out: &mut impl Sink) {
    let mut rest = string;
    while let Some(backslash) = rest.iter().position(|&byte| byte == b'\\') {
        repair(&rest[..backslash], out);
        let (length, character) = read_escape(&rest[backslash..]);
        let end = backslash + length;
        out.put(if character.is_some() { &rest[backslash..end] } else { REPLACEMENT });
        rest = &rest[end..];
    }
    repair(rest, out);
}

/// The most bytes that [`put_compact`] makes of a text.
pub fn compact_bytes_max(length: usize, notes: &Notes, is_utf8: bool) -> usize {
    // One invalid byte becomes three; `NaN` grows from three to four.
    if is_utf8 && !notes.nan { length } else { length * 3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compact(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let notes = Notes { blanks: true, nan: true, lone_surrogate: true, ..Notes::default() };
        let is_utf8 = str::from_utf8(text).is_ok();
        put_mended(text, true, &mut out);
        assert!(out.len() <= compact_bytes_max(text.len(), &notes, is_utf8));
        out
    }

    #[test]
    fn only_what_must_change_changes() {
        let cases: [(&[u8], &str); 6] = [
            (b"{ \"a b\" :\t[1 ,\r\n2.50, -0 ] }", r#"{"a b":[1,2.50,-0]}"#),
            (b"[NaN, Infinity,-Infinity ,\"NaN -Infinity\"]", r#"[null,null,null,"NaN -Infinity"]"#),
            (
                br#"["\ud83c","\ud83c\udf89","\/\u00e9","\udf89 x"]"#,
                "[\"\u{FFFD}\",\"\\ud83c\\udf89\",\"\\/\\u00e9\",\"\u{FFFD} x\"]",
            ),
            (b"[\"\xED\xA0\xBC\xED\xBE\x89\",\"\xFF\\\"\xE2\x82\"]", "[\"🎉\",\"\u{FFFD}\\\"\u{FFFD}\"]"),
            (br#"["\\", " \\\" "]"#, r#"["\\"," \\\" "]"#),
            (b"{}", "{}"),
        ];
        for (text, expected) in cases {
            assert_eq!(String::from_utf8_lossy(&compact(text)), expected);
        }
    }
}
