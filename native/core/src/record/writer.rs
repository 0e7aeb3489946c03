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
        let Ok(value @ 0..END) = u64::try_from(value) else { return self.put(Digits::default().of(value)) };
        let Some(room) = self.bytes.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut::<16>) else {
            return self.put(Digits::default().of(value as i64));
        };
        // In registers: digits that are stored one by one, and then copied, are waited for.
        let (high, low) = (value / EIGHT_DIGITS, value % EIGHT_DIGITS);
        let first = eight_digits(if high > 0 { high } else { low });
        let zeroes = (first.trailing_zeros() / 8).min(7);
        room[..8].copy_from_slice(&((first | ASCII_ZEROES) >> (8 * zeroes)).to_le_bytes());
        let mut length = 8 - zeroes as usize;
        if high > 0 {
            room[length..length + 8].copy_from_slice(&(eight_digits(low) | ASCII_ZEROES).to_le_bytes());
            length += 8;
        }
        self.at += length;
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

const EIGHT_DIGITS: u64 = 100_000_000;
/// Beyond the numbers that have 16 digits.
const END: u64 = EIGHT_DIGITS * EIGHT_DIGITS;
const ASCII_ZEROES: u64 = 0x3030_3030_3030_3030;

/// The eight digits of a number below 10^8, a byte each, the first one lowest. Halves, then quarters, then eighths are
/// taken apart side by side; what they are multiplied by stands for a division that is exact for as many digits.
#[inline]
fn eight_digits(value: u64) -> u64 {
    let halves = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007F_0000_007F;
    let quarters = hundreds | (halves - hundreds * 100) << 16;
    let tens = ((quarters * 103) >> 10) & 0x000F_000F_000F_000F;
    tens | (quarters - tens * 10) << 8
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
        let powers = (0..19).map(|power| 10_i64.pow(power));
        let around = powers.flat_map(|power| [power - 1, power, power + 1, power * 7, 99 * (power / 100)]);
        let others = [-1, -10, 1_795_500_000_000, i64::MAX, i64::MIN, 1 << 53];
        for value in around.chain(others).chain(0..20_000).chain((0..100_000_000).step_by(9973)) {
            assert_eq!(Digits::default().of(value), value.to_string().as_bytes());
            for room in [value.to_string().len(), 20, 64] {
                let mut memory = [b'x'; 64];
                let mut writer = Writer::new(&mut memory[..room]);
                writer.integer(value);
                let length = writer.length();
                assert_eq!(&memory[..length], value.to_string().as_bytes());
                assert!(memory[room..].iter().all(|&byte| byte == b'x'));
            }
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
