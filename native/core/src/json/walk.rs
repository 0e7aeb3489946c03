//! A second look at text that the scanner has found valid: members and elements one after the other.

use super::number_end;
use super::value::{ESCAPED, HIGH, Kind, Value};
use crate::simd;

/// Goes through one container.
#[derive(Clone, Copy)]
pub struct Walker<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Walker<'t> {
    /// Stands in front of the first member or element of the container that opens at `at`.
    pub fn new(text: &'t [u8], at: usize) -> Self {
        Self { text, at: at + 1 }
    }

    /// The next member: where its raw name lies between the quotes, and its value.
    pub fn member(&mut self) -> Option<((usize, usize), Value)> {
        let name = self.element()?;
        let value_at = self.skip_blanks(name.end as usize);
        debug_assert_eq!(self.text[value_at], b':');
        self.at = value_at + 1;
        Some(((name.start as usize + 1, name.end as usize - 1), self.element()?))
    }

    /// The next element.
    pub fn element(&mut self) -> Option<Value> {
        let mut at = self.skip_blanks(self.at);
        if self.text[at] == b',' {
            at = self.skip_blanks(at + 1);
        }
        if matches!(self.text[at], b'}' | b']') {
            return None;
        }
        let value = value_at(self.text, at);
        self.at = value.end as usize;
        Some(value)
    }

    fn skip_blanks(&self, at: usize) -> usize {
        at + self.text[at..].iter().take_while(|&&byte| byte <= b' ').count()
    }
}

/// The value that begins at `at`.
pub fn value_at(text: &[u8], at: usize) -> Value {
    let literal = |kind, name: &str| (kind, at + name.len(), 0);
    let (kind, end, flags) = match text[at] {
        b'"' => string_at(text, at),
        b'{' => (Kind::Object, container_end(text, at), 0),
        b'[' => (Kind::Array, container_end(text, at), 0),
        b't' => literal(Kind::True, "true"),
        b'f' => literal(Kind::False, "false"),
        b'n' => literal(Kind::Null, "null"),
        b'N' => literal(Kind::Null, "NaN"),
        b'I' => literal(Kind::Null, "Infinity"),
        b'-' if text[at + 1] == b'I' => literal(Kind::Null, "-Infinity"),
        _ => (Kind::Number, number_end(text, at).expect("the scanner took this number"), 0),
    };
    Value { start: at as u32, end: end as u32, kind, flags }
}

fn string_at(text: &[u8], at: usize) -> (Kind, usize, u16) {
    let end = string_end(text, at);
    let has = |wanted: fn(&u8) -> bool, flag| if text[at..end].iter().any(wanted) { flag } else { 0 };
    (Kind::String, end, has(|&byte| byte == b'\\', ESCAPED) | has(|&byte| byte >= 0x80, HIGH))
}

/// The index behind the string that opens at `at`.
pub fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = simd::find_stop(text, at + 1);
    while text[at] == b'\\' {
        at = simd::find_stop(text, at + 2);
    }
    at + 1
}

fn container_end(text: &[u8], at: usize) -> usize {
    let (mut at, mut depth) = (at, 0_usize);
    loop {
        match text[at] {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
}
