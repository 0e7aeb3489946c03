//! Percent-decoding.

use crate::simd;
use crate::text::hex_digit;

/// The byte that `%XX` at the start of `bytes` stands for; `None` when it is incomplete.
#[inline]
pub fn escaped_byte(bytes: &[u8]) -> Option<u8> {
    let &[b'%', high, low, ..] = bytes else { return None };
    let (high, low) = (hex_digit(high), hex_digit(low));
    (high < 16 && low < 16).then_some(high << 4 | low)
}

/// Decodes `source` into the start of `target`, which is at least as long; returns the bytes written.
pub fn decode(source: &[u8], target: &mut [u8], plus_is_space: bool) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some((run, byte, next)) = step(source, from, plus_is_space) {
        let length = run.len();
        target[to..to + length].copy_from_slice(run);
        target[to + length] = byte;
        to += length + 1;
        from = next;
    }
    let rest = &source[from..];
    target[to..to + rest.len()].copy_from_slice(rest);
    to + rest.len()
}

/// Decodes `buffer[start..end]` in place, `+` stays; returns the new end.
pub fn decode_in_place(buffer: &mut [u8], start: usize, end: usize) -> usize {
    let (mut from, mut to) = (start, start);
    while from < end {
        let (byte, length) = match escaped_byte(&buffer[from..end]) {
            Some(byte) => (byte, 3),
            None => (buffer[from], 1),
        };
        buffer[to] = byte;
        to += 1;
        from += length;
    }
    to
}

/// The text from `from` up to the next escape or plus, the byte that it stands for, and the index behind it.
#[inline]
fn step(source: &[u8], from: usize, plus_is_space: bool) -> Option<(&[u8], u8, usize)> {
    let other = if plus_is_space { b'+' } else { b'%' };
    let at = simd::find_either(source, from, b'%', other);
    let found = source.get(at)?;
    let (byte, length) = match found {
        b'+' => (b' ', 1),
        _ => escaped_byte(&source[at..]).map_or((b'%', 1), |byte| (byte, 3)),
    };
    Some((&source[from..at], byte, at + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_pluses_and_what_is_incomplete() {
        let cases: [(&str, &str, &str); 7] = [
            ("", "", ""),
            ("a+b%20c", "a b c", "a+b c"),
            ("%7B%7b", "{{", "{{"),
            ("%", "%", "%"),
            ("%4", "%4", "%4"),
            ("%g1%41", "%g1A", "%g1A"),
            ("%25%34%31+", "%41 ", "%41+"),
        ];
        for (source, as_form, as_text) in cases {
            let mut target = vec![0; source.len()];
            let length = decode(source.as_bytes(), &mut target, true);
            assert_eq!(&target[..length], as_form.as_bytes());
            let mut buffer = source.as_bytes().to_vec();
            let end = decode_in_place(&mut buffer, 0, source.len());
            assert_eq!(&buffer[..end], as_text.as_bytes());
        }
    }
}
