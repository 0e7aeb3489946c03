//! `time` in decimal arithmetic (docs/DECODING.md 5, M).

use crate::json::number_end;

/// Numbers of 2^53 ms and less are exact everywhere.
const MS_MAX: u64 = 1 << 53;
/// From here on a number counts milliseconds, else seconds.
const MS_FROM: i64 = 100_000_000_000;
/// From this many integer digits on (1e11 has twelve) a number counts milliseconds, else seconds.
const MS_DIGITS_MIN: i64 = 12;
/// More digits than 2^53 has.
const DIGITS_MAX: i64 = 17;

/// What a number says as a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ms {
    /// Milliseconds since 1970, digits below 1 ms cut.
    At(i64),
    /// Before −2^53 ms.
    TooEarly,
    /// After 2^53 ms.
    TooLate,
}

/// The whole text is a number of JSON.
pub fn is_number(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'-' | b'0'..=b'9')) && number_end(text, 0).is_ok_and(|end| end == text.len())
}

/// Reads the text of a JSON number.
pub fn read(number: &[u8]) -> Ms {
    if let Some(ms) = read_short(number) {
        return Ms::At(ms);
    }
    let (is_negative, digits) = match number {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match (magnitude(digits), is_negative) {
        (Some(ms), false) => Ms::At(ms as i64),
        (Some(ms), true) => Ms::At(-(ms as i64)),
        (None, false) => Ms::TooLate,
        (None, true) => Ms::TooEarly,
    }
}

/// The usual cases: digits, perhaps with a fraction, too few to be beyond anything.
#[inline]
fn read_short(number: &[u8]) -> Option<i64> {
    const DIGITS: usize = 15;
    let (mut value, mut at) = (0, 0);
    while let Some(&byte) = number.get(at)
        && byte.is_ascii_digit()
    {
        value = value * 10 + i64::from(byte - b'0');
        at += 1;
        if at > DIGITS {
            return None;
        }
    }
    let fraction = match number.get(at) {
        None => &[],
        Some(b'.') => &number[at + 1..],
        Some(_) => return None,
    };
    let is_seconds = value < MS_FROM;
    for place in 0..3 {
        let digit = fraction.get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        value = if is_seconds { value * 10 + i64::from(digit - b'0') } else { value };
    }
    let rest = fraction.get(3..).unwrap_or_default();
    rest.iter().all(u8::is_ascii_digit).then_some(value)
}

/// Milliseconds without sign; `None` beyond 2^53.
fn magnitude(text: &[u8]) -> Option<u64> {
    let end = text.iter().position(|&byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
    let (mantissa, exponent) = (&text[..end], read_exponent(text.get(end + 1..).unwrap_or_default()));
    let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
    let digits = || mantissa.iter().filter(|&&byte| byte != b'.').map(|&byte| u64::from(byte - b'0'));
    let Some(leading_zeros) = digits().position(|digit| digit != 0) else { return Some(0) };
    // Digits in front of the decimal point once the exponent is applied.
    let mut places = (point as i64 - leading_zeros as i64).saturating_add(exponent);
    if places < MS_DIGITS_MIN {
        places += 3;
    }
    if places > DIGITS_MAX {
        return None;
    }
    let kept = places.max(0) as usize;
    let whole = digits().skip(leading_zeros).chain(std::iter::repeat(0)).take(kept);
    let ms = whole.fold(0, |value, digit| value * 10 + digit);
    (ms <= MS_MAX).then_some(ms)
}

/// An exponent, saturating far beyond any number of digits a text can have.
fn read_exponent(text: &[u8]) -> i64 {
    const FAR: i64 = 1 << 40;
    let (is_negative, digits) = match text {
        [sign @ (b'+' | b'-'), digits @ ..] => (*sign == b'-', digits),
        digits => (false, digits),
    };
    let value = digits.iter().fold(0, |value: i64, &byte| FAR.min(value * 10 + i64::from(byte - b'0')));
    if is_negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_milliseconds_fractions_and_exponents() {
        let cases = [
            ("1700000000", 1_700_000_000_000),
            ("1700000000123", 1_700_000_000_123),
            ("1700000000.1239", 1_700_000_000_123),
            ("99999999999", 99_999_999_999_000),
            ("100000000000", 100_000_000_000),
            ("1e11", 100_000_000_000),
            ("1e10", 10_000_000_000_000),
            ("9.9999999999999e10", 99_999_999_999_999),
            ("0", 0),
            ("-0", 0),
            ("0.0004", 0),
            ("-0.0009", 0),
            ("-1.5", -1500),
            ("0.001", 1),
            ("1700000000123.999", 1_700_000_000_123),
            ("17e8", 1_700_000_000_000),
            ("0.0000017e15", 1_700_000_000_000),
            ("1e-400", 0),
            ("0e999999999999999999999", 0),
            ("1E+3", 1_000_000),
            ("9007199254740992", 1 << 53),
            ("9007199254740992.9", 1 << 53),
            ("-9007199254740992", -(1 << 53)),
            ("000", 0),
            ("17000000000000000e-7", 1_700_000_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text.as_bytes()), Ms::At(expected), "{text}");
        }
    }

    #[test]
    fn beyond_two_to_the_53() {
        for text in ["9007199254740993", "1e300", "99999999999999999999", "1e999999999999999999999"] {
            assert_eq!(read(text.as_bytes()), Ms::TooLate, "{text}");
            assert_eq!(read(format!("-{text}").as_bytes()), Ms::TooEarly, "-{text}");
        }
    }

    #[test]
    fn only_whole_numbers_are_numbers() {
        for text in ["1", "-1.5e3", "0"] {
            assert!(is_number(text.as_bytes()), "{text}");
        }
        for text in ["", " 1", "1 ", "01", "+1", ".5", "1.", "0x1", "NaN", "-", "1e"] {
            assert!(!is_number(text.as_bytes()), "{text}");
        }
    }
}
