//! Writing into memory whose size is known to suffice.

use super::item::Text;
use crate::text::{Sink, put_escaped};

/// Writes forward into a slice.
pub struct Writer<'b> {
    bytes: &'b mut [u8],
    at: usize,
}

impl<'b> Writer<'b> {
    /// Begins at the slice's start.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes written.
    pub fn length(&self) -> usize {
        self.at
    }

    /// What was written from `start` on.
    pub fn since(&self, start: usize) -> &[u8] {
        &self.bytes[start..self.at]
    }

    /// Leaves bytes for later.
    pub fn skip(&mut self, length: usize) {
        self.at += length;
    }

    /// Overwrites what was written or skipped before.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// A text as a JSON string.
    #[inline(always)]
    pub fn string(&mut self, text: Text) {
        self.put(b"\"");
        if text.is_plain {
            self.put(text.bytes);
        } else {
            put_escaped(text.bytes, self);
        }
        self.put(b"\"");
    }

    /// A number in decimal digits.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        let mut digits = Digits::default();
        self.put(digits.of(value));
    }
}

impl Sink for Writer<'_> {
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        copy(&mut self.bytes[self.at..end], bytes);
        self.at = end;
    }
}

/// `copy_from_slice`, short ones without a call: the first and the last half of at most 64 bytes may overlap.
#[inline(always)]
fn copy(target: &mut [u8], source: &[u8]) {
    match source.len() {
        33..=64 => copy_halves::<32>(target, source),
        16..=32 => copy_halves::<16>(target, source),
        8..16 => copy_halves::<8>(target, source),
        4..8 => copy_halves::<4>(target, source),
        _ => target.copy_from_slice(source),
    }
}

/// Both are of the same length, N to 2 N bytes.
#[inline(always)]
fn copy_halves<const N: usize>(target: &mut [u8], source: &[u8]) {
    if let (Some(first), Some(last)) = (source.first_chunk::<N>(), source.last_chunk::<N>()) {
        let behind = target.len() - N;
        target[..N].copy_from_slice(first);
        target[behind..].copy_from_slice(last);
    }
}

/// Room for the digits of a number.
#[derive(Default)]
pub struct Digits {
    bytes: [u8; 20],
}

/// 00 to 99.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + value as u8 / 10, b'0' + value as u8 % 10];
        value += 1;
    }
    pairs
};

impl Digits {
    /// The number in decimal digits.
    pub fn of(&mut self, value: i64) -> &[u8] {
        let mut rest = value.unsigned_abs();
        let mut at = self.bytes.len();
        while rest >= 10 {
            at -= 2;
            self.bytes[at..at + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
            rest /= 100;
        }
        if rest > 0 || at == self.bytes.len() {
            at -= 1;
            self.bytes[at] = b'0' + rest as u8;
        }
        if value < 0 {
            at -= 1;
            self.bytes[at] = b'-';
        }
        &self.bytes[at..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for value in [0, 1, 9, 10, -1, -10, 1_795_500_000_000, i64::MAX, i64::MIN, 1 << 53] {
            assert_eq!(Digits::default().of(value), value.to_string().as_bytes());
        }
    }

    #[test]
    fn strings_are_escaped_only_when_they_may_need_it() {
        let mut memory = [0; 32];
        let mut writer = Writer::new(&mut memory);
        writer.string(Text { bytes: b"a\n\"", is_plain: false });
        writer.string(Text { bytes: b"b", is_plain: true });
        assert_eq!(writer.since(0), br#""a\n\"""b""#);
    }
}
