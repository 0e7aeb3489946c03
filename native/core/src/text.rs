//! Text repair (docs/DECODING.md 6) and the writing of strings as JSON.

use crate::simd;

/// U+FFFD in UTF-8.
pub const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
/// Both halves of a pair, as CESU-8 writes them.
const CESU_PAIR_BYTES: usize = 6;

/// Where bytes go: a growing buffer or a record's room.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// The character that `ED A0-AF xx ED B0-BF xx` at the start of `bytes` stands for.
fn cesu_pair(bytes: &[u8]) -> Option<char> {
    let &[
        0xED,
        high @ 0xA0..=0xAF,
        high_low @ 0x80..=0xBF,
        0xED,
        low @ 0xB0..=0xBF,
        low_low @ 0x80..=0xBF,
        ..,
    ] = bytes
    else {
        return None;
    };
    let bits = |middle: u8, last: u8| u32::from(middle & 0x0F) << 6 | u32::from(last & 0x3F);
    char::from_u32(0x1_0000 + (bits(high, high_low) << 10) + (bits(low, low_low) & 0x3FF))
}

/// Writes bytes as UTF-8: CESU-8 pairs become one character, other invalid sequences U+FFFD, one a maximal subpart.
pub fn repair(mut bytes: &[u8], out: &mut impl Sink) {
    while let Err(error) = str::from_utf8(bytes) {
        let (good, rest) = bytes.split_at(error.valid_up_to());
        out.put(good);
        if let Some(character) = cesu_pair(rest) {
            out.put(character.encode_utf8(&mut [0; 4]).as_bytes());
            bytes = &rest[CESU_PAIR_BYTES..];
        } else {
            out.put(REPLACEMENT);
            bytes = &rest[error.error_len().unwrap_or(rest.len())..];
        }
    }
    out.put(bytes);
}

/// Index of the first byte that is neither UTF-8 nor part of a CESU-8 pair.
pub fn first_bad_byte(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Err(error) = str::from_utf8(&bytes[at..]) {
        at += error.valid_up_to();
        if cesu_pair(&bytes[at..]).is_none() {
            return Some(at);
        }
        at += CESU_PAIR_BYTES;
    }
    None
}

/// What `\uXXXX` at the start of `escape` stands for; the digits are known to be hex.
pub fn code_unit(escape: &[u8]) -> u32 {
    escape[2..6].iter().fold(0, |value, &digit| value << 4 | u32::from(hex_digit(digit)))
}

/// 0 to 15; 16 and more for bytes that are no hex digits.
pub const fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => 255,
    }
}

/// The first half of a surrogate pair.
pub fn is_high_surrogate(unit: u32) -> bool {
    (0xD800..0xDC00).contains(&unit)
}

/// The second half of a surrogate pair.
pub fn is_low_surrogate(unit: u32) -> bool {
    (0xDC00..0xE000).contains(&unit)
}

/// The code unit of an escape `\uXXXX` at the start of `bytes`, if one stands there.
pub fn unit_at(bytes: &[u8]) -> Option<u32> {
    let escape = bytes.get(..6)?;
    let is_escape = escape.starts_with(b"\\u") && escape[2..].iter().all(u8::is_ascii_hexdigit);
    is_escape.then(|| code_unit(escape))
}

/// One escape of valid JSON at the start of `bytes`: its length, and the character (`None`: a lone surrogate).
pub fn read_escape(bytes: &[u8]) -> (usize, Option<char>) {
    let simple = match bytes[1] {
        b'b' => '\x08',
        b'f' => '\x0C',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return read_unicode_escape(bytes),
        other => char::from(other),
    };
    (2, Some(simple))
}

fn read_unicode_escape(bytes: &[u8]) -> (usize, Option<char>) {
    let unit = code_unit(bytes);
    if !is_high_surrogate(unit) {
        return (6, char::from_u32(unit));
    }
    match unit_at(&bytes[6..]) {
        Some(low) if is_low_surrogate(low) => {
            (12, char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00)))
        }
        _ => (6, None),
    }
}

/// Writes the value of a string: `raw` is the text between its quotes, valid JSON but for its UTF-8.
pub fn unescape(raw: &[u8], out: &mut impl Sink) {
    let mut rest = raw;
    while let Some(backslash) = rest.iter().position(|&byte| byte == b'\\') {
        repair(&rest[..backslash], out);
        let (length, character) = read_escape(&rest[backslash..]);
        match character {
            Some(character) => out.put(character.encode_utf8(&mut [0; 4]).as_bytes()),
            None => out.put(REPLACEMENT),
        }
        rest = &rest[backslash + length..];
    }
    repair(rest, out);
}

/// Writes the inside of a JSON string for a text that is UTF-8.
pub fn put_escaped(text: &[u8], out: &mut impl Sink) {
    let mut start = 0;
    loop {
        let at = simd::find_stop(text, start);
        out.put(&text[start..at]);
        let Some(&byte) = text.get(at) else { return };
        put_escape(byte, out);
        start = at + 1;
    }
}

fn put_escape(byte: u8, out: &mut impl Sink) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.put(b"\\\""),
        b'\\' => out.put(b"\\\\"),
        0x08 => out.put(b"\\b"),
        b'\t' => out.put(b"\\t"),
        b'\n' => out.put(b"\\n"),
        0x0C => out.put(b"\\f"),
        b'\r' => out.put(b"\\r"),
        _ => out.put(&[b'\\', b'u', b'0', b'0', HEX[byte as usize >> 4], HEX[byte as usize & 15]]),
    }
}

/// The text's start that fits into `bytes_max` bytes without cutting a character.
pub fn cut(text: &[u8], bytes_max: usize) -> &[u8] {
    if text.len() <= bytes_max {
        return text;
    }
    let is_continuation = |at: usize| text[at] & 0xC0 == 0x80;
    let end = (0..=bytes_max).rev().find(|&at| !is_continuation(at)).unwrap_or(0);
    &text[..end]
}

/// 09 0A 0B 0C 0D 20: what is trimmed.
pub const fn is_blank(byte: u8) -> bool {
    matches!(byte, 0x09..=0x0D | b' ')
}

/// Start and end of what is left of `text[start..end]` without blanks around it.
pub fn trim_blanks(text: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    while start < end && is_blank(text[start]) {
        start += 1;
    }
    while start < end && is_blank(text[end - 1]) {
        end -= 1;
    }
    (start, end)
}

/// Start behind blanks, one byte order mark, and blanks.
pub fn trim_start(text: &[u8]) -> usize {
    let blanks = |text: &[u8]| text.iter().take_while(|&&byte| is_blank(byte)).count();
    let start = blanks(text);
    if !text[start..].starts_with(b"\xEF\xBB\xBF") {
        return start;
    }
    start + 3 + blanks(&text[start + 3..])
}

/// Start and end of the trimmed text: blanks at both ends and a byte order mark in front are left out.
pub fn trim(text: &[u8]) -> (usize, usize) {
    trim_blanks(text, trim_start(text), text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        repair(bytes, &mut out);
        out
    }

    fn unescaped(raw: &str) -> String {
        let mut out = Vec::new();
        unescape(raw.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Three bytes of every interesting kind, against the standard library's lossy conversion.
    #[test]
    fn repair_is_lossy_conversion_where_there_are_no_pairs() {
        let kinds =
            [b'a', 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0xF5, 0xFF];
        for one in kinds {
            for two in kinds {
                for three in kinds {
                    for four in kinds {
                        let bytes = [one, two, three, four];
                        assert_eq!(
                            repaired(&bytes),
                            String::from_utf8_lossy(&bytes).as_bytes(),
                            "{bytes:x?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn pairs_in_cesu_8_become_one_character() {
        assert_eq!(repaired(b"a\xED\xA0\xBC\xED\xBE\x89b"), "a🎉b".as_bytes());
        assert_eq!(repaired(b"\xED\xAF\xBF\xED\xBF\xBF"), "\u{10FFFF}".as_bytes());
        assert_eq!(repaired(b"\xED\xA0\x80\xED\xB0\x80"), "\u{10000}".as_bytes());
        assert_eq!(repaired(b"\xED\xA0\xBC\xED\xBE"), "\u{FFFD}".repeat(5).as_bytes());
        assert_eq!(first_bad_byte(b"ab\xED\xA0\xBC\xED\xBE\x89"), None);
        assert_eq!(first_bad_byte(b"ab\xED\xA0\xBC\xED\xBE\x89c\xE2\x82"), Some(9));
    }

    #[test]
    fn escapes_are_read_and_lone_surrogates_replaced() {
        assert_eq!(unescaped(r#"a\"\\\/\b\f\n\r\té\u0000"#), "a\"\\/\x08\x0C\n\r\té\0");
        assert_eq!(unescaped(r"\ud83c\udf89"), "🎉");
        assert_eq!(unescaped(r"\ud83c\ud83c\udf89x\udf89\uD83C"), "\u{FFFD}🎉x\u{FFFD}\u{FFFD}");
    }

    #[test]
    fn escaping_is_what_json_reads_back() {
        let text: String = (0..0x300).filter_map(char::from_u32).collect();
        let mut out = Vec::new();
        put_escaped(text.as_bytes(), &mut out);
        let json = format!("\"{}\"", String::from_utf8(out).unwrap());
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert_eq!(json, serde_json::to_string(&text).unwrap());
    }

    #[test]
    fn cutting_keeps_characters_whole() {
        assert_eq!(cut("aé".as_bytes(), 2), b"a");
        assert_eq!(cut("aé".as_bytes(), 3), "aé".as_bytes());
        assert_eq!(cut("🎉🎉".as_bytes(), 7), "🎉".as_bytes());
    }

    #[test]
    fn trimming_takes_one_byte_order_mark() {
        assert_eq!(trim(b" \x0B\xEF\xBB\xBF\x0C a b \r\n"), (7, 10));
        assert_eq!(trim(b"\xEF\xBB\xBF\xEF\xBB\xBFa"), (3, 7));
        assert_eq!(trim(b"   "), (3, 3));
        assert_eq!(trim(b""), (0, 0));
    }
}
