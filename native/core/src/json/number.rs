//! The grammar of numbers.

use super::SyntaxError;
use crate::scalar::digits_end;

/// Where the number that begins at `at` ends. `text[at]` is a digit or `-`.
#[inline(always)]
pub fn number_end(text: &[u8], at: usize) -> Result<usize, SyntaxError> {
    let at = if text[at] == b'-' { at + 1 } else { at };
    let end = match text.get(at) {
        Some(b'0') => at + 1,
        Some(b'1'..=b'9') => digits_end(text, at + 1),
        _ => return Err(SyntaxError { offset: at }),
    };
    match text.get(end) {
        Some(b'.' | b'e' | b'E') => fraction_end(text, end),
        _ => Ok(end),
    }
}

/// Fraction and exponent.
#[inline(never)]
fn fraction_end(text: &[u8], mut at: usize) -> Result<usize, SyntaxError> {
    if text[at] == b'.' {
        at = some_digits_end(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let sign = matches!(text.get(at + 1), Some(b'+' | b'-'));
        at = some_digits_end(text, at + 1 + usize::from(sign))?;
    }
    Ok(at)
}

fn some_digits_end(text: &[u8], at: usize) -> Result<usize, SyntaxError> {
    let end = digits_end(text, at);
    if end == at { Err(SyntaxError { offset: at }) } else { Ok(end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_the_grammar_says() {
        let cases = [
            ("0", Ok(1)),
            ("01", Ok(1)),
            ("-0", Ok(2)),
            ("12]", Ok(2)),
            ("1.5e+3,", Ok(6)),
            ("1E9", Ok(3)),
            ("-", Err(1)),
            ("-x", Err(1)),
            ("-.5", Err(1)),
            ("1.", Err(2)),
            ("1.e5", Err(2)),
            ("1e", Err(2)),
            ("1e+", Err(3)),
            ("1e+x", Err(3)),
            ("0.0.0", Ok(3)),
            ("1e5.5", Ok(3)),
            ("--1", Err(1)),
        ];
        for (text, expected) in cases {
            assert_eq!(number_end(text.as_bytes(), 0).map_err(|error| error.offset), expected, "{text}");
        }
    }
}
