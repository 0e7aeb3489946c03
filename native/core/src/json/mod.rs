//! The JSON scanner: one pass without recursion that checks the grammar (RFC 8259), notes what a record's text will
//! need, and keeps the spans of the members that rules and envelope ask for.
//!
//! It works on bytes and changes nothing. Errors are the index of the first byte that cannot go on
//! (docs/DECODING.md 3); the end of the text counts as that byte when the text is unfinished.

pub mod keys;
mod marks;
mod members;
mod number;
mod stack;
pub mod value;
pub mod walk;

pub use members::{Found, slot};
pub use number::number_end;

use crate::text::{is_high_surrogate, is_low_surrogate, unit_at};
use marks::Marks;
use stack::BitStack;
use value::{ESCAPED, HIGH, Kind, Value};

/// Containers nest this deep at most; a record's own object is level 1.
pub const DEPTH_MAX: u32 = 64;

/// The text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Index of the first byte that cannot go on.
    pub offset: usize,
}

type Scan<T> = Result<T, SyntaxError>;

/// What the scanner saw since [`Scanner::begin`].
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts")]
pub struct Notes {
    /// White space outside strings.
    pub blanks: bool,
    /// A string with a byte from 80 (hex) on.
    pub high: bool,
    /// An escape that is half of a surrogate pair.
    pub lone_surrogate: bool,
    /// `NaN`, `Infinity` or `-Infinity`.
    pub nan: bool,
    /// A string that is not plain: escapes or bytes from 80 on.
    pub special: bool,
    /// The deepest level.
    pub deepest: u32,
    /// Where the first container beyond [`DEPTH_MAX`] opens; 0 for none (a record's own object opens before it).
    pub too_deep_at: usize,
    /// Commas outside strings: no container has more than one member or element beyond.
    pub commas: usize,
}

/// White space outside strings: its first byte and the byte behind it.
pub type Gap = (u32, u32);

/// Gaps that are noted; a record with more of them is compacted byte by byte.
const GAPS_MAX: usize = 8192;

/// Memory that a scanner works in, kept from text to text.
#[derive(Default)]
pub struct Workspace {
    stack: BitStack,
    marks: Marks,
    gaps: Vec<Gap>,
}

/// Scans one text.
pub struct Scanner<'t> {
    text: &'t [u8],
    /// `NaN` and its like are values.
    lenient: bool,
    work: &'t mut Workspace,
    /// What was seen since the last `begin`.
    pub notes: Notes,
}

impl<'t> Scanner<'t> {
    /// A scanner of `text`, which ends where JSON has to end.
    pub fn new(text: &'t [u8], lenient: bool, work: &'t mut Workspace) -> Self {
        work.marks.forget();
        work.gaps.clear();
        Self { text, lenient, work, notes: Notes::default() }
    }

    /// Forgets what was noted: a new record begins.
    pub fn begin(&mut self) {
        self.notes = Notes::default();
        self.work.gaps.clear();
    }

    /// All gaps since `begin`, in text order; `None` when there are too many.
    pub fn gaps(&self) -> Option<&[Gap]> {
        let gaps = &self.work.gaps;
        (gaps.len() < GAPS_MAX).then_some(gaps.as_slice())
    }

    /// The byte at `at`, `None` at the end.
    #[inline(always)]
    pub fn peek(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// Where the blanks that begin at `at` end.
    #[inline(always)]
    pub fn skip_blanks(&mut self, at: usize) -> usize {
        match self.text.get(at) {
            Some(0..=b' ') => self.skip_some_blanks(at),
            _ => at,
        }
    }

    #[inline(never)]
    fn skip_some_blanks(&mut self, mut at: usize) -> usize {
        let start = at;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(at) {
            at += 1;
        }
        if at > start {
            self.notes.blanks = true;
            if self.work.gaps.len() < GAPS_MAX {
                self.work.gaps.push((start as u32, at as u32));
            }
        }
        at
    }

    /// A whole value that begins at `at`; a container there is on `level`.
    #[inline(always)]
    pub fn value(&mut self, at: usize, level: u32) -> Scan<Value> {
        if self.peek(at) == Some(b'"') {
            let special = self.work.marks.special(self.text, at + 1);
            return self.string_value(at, special);
        }
        self.bare_value(at, level)
    }

    /// A string that opens at `at`; `special` is the first byte behind it that is not plain.
    #[inline(always)]
    fn string_value(&mut self, at: usize, special: usize) -> Scan<Value> {
        let (end, flags) = self.string_end(special)?;
        Ok(Value { start: at as u32, end: end as u32, kind: Kind::String, flags })
    }

    /// A value that is no string.
    #[inline(always)]
    fn bare_value(&mut self, at: usize, level: u32) -> Scan<Value> {
        let (kind, end) = match self.peek(at) {
            Some(b'0'..=b'9') => (Kind::Number, number_end(self.text, at)?),
            Some(b'{') => (Kind::Object, self.container(at, level)?),
            Some(b'[') => (Kind::Array, self.container(at, level)?),
            _ => self.word(at)?,
        };
        Ok(Value { start: at as u32, end: end as u32, kind, flags: 0 })
    }

    /// The rest of a string; `at` is behind its opening quote. Returns the index behind the closing one.
    #[inline(always)]
    fn string(&mut self, at: usize) -> Scan<(usize, u16)> {
        let special = self.work.marks.special(self.text, at);
        self.string_end(special)
    }

    #[inline(always)]
    fn string_end(&mut self, special: usize) -> Scan<(usize, u16)> {
        match self.peek(special) {
            Some(b'"') => Ok((special + 1, 0)),
            _ => self.special_string(special),
        }
    }

    /// The rest of a string from the first byte on that is not plain.
    #[inline(never)]
    fn special_string(&mut self, mut at: usize) -> Scan<(usize, u16)> {
        let mut flags = 0;
        self.notes.special = true;
        loop {
            match self.peek(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    flags |= ESCAPED;
                    at = self.escape(at)?;
                }
                Some(0x80..) => {
                    flags |= HIGH;
                    at = self.work.marks.stop(self.text, at);
                    continue;
                }
                _ => return Err(SyntaxError { offset: at }),
            }
            // Once a high byte is known of, only the others matter.
            at = if flags & HIGH == 0 {
                self.work.marks.special(self.text, at)
            } else {
                self.work.marks.stop(self.text, at)
            };
        }
        self.notes.high |= flags & HIGH != 0;
        Ok((at + 1, flags))
    }

    /// The escape whose backslash is at `at`; returns the index behind it (behind both halves of a pair).
    fn escape(&mut self, at: usize) -> Scan<usize> {
        match self.peek(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => self.unicode_escape(at),
            _ => Err(SyntaxError { offset: at + 1 }),
        }
    }

    fn unicode_escape(&mut self, at: usize) -> Scan<usize> {
        let Some(unit) = unit_at(&self.text[at..]) else {
            let digits = self.text[at + 2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            return Err(SyntaxError { offset: at + 2 + digits });
        };
        if is_high_surrogate(unit) && unit_at(&self.text[at + 6..]).is_some_and(is_low_surrogate) {
            return Ok(at + 12);
        }
        self.notes.lone_surrogate |= is_high_surrogate(unit) || is_low_surrogate(unit);
        Ok(at + 6)
    }

    /// A literal or a negative number.
    #[inline(never)]
    fn word(&mut self, at: usize) -> Scan<(Kind, usize)> {
        let rest = &self.text[at..];
        let nan = |length: usize| (Kind::Null, at + length, true);
        let (kind, end, is_nan) = match rest.first() {
            Some(b'-') if self.lenient && rest.starts_with(b"-Infinity") => nan(9),
            Some(b'-') => (Kind::Number, number_end(self.text, at)?, false),
            Some(b't') if rest.starts_with(b"true") => (Kind::True, at + 4, false),
            Some(b'f') if rest.starts_with(b"false") => (Kind::False, at + 5, false),
            Some(b'n') if rest.starts_with(b"null") => (Kind::Null, at + 4, false),
            Some(b'N') if self.lenient && rest.starts_with(b"NaN") => nan(3),
            Some(b'I') if self.lenient && rest.starts_with(b"Infinity") => nan(8),
            _ => return Err(SyntaxError { offset: at }),
        };
        self.notes.nan |= is_nan;
        Ok((kind, end))
    }

    /// The name of a member at `at`, and what stands between it and its value. Returns the index of the value.
    #[inline(always)]
    fn skip_name(&mut self, at: usize) -> Scan<usize> {
        if self.peek(at) != Some(b'"') {
            return Err(SyntaxError { offset: at });
        }
        let (end, _) = self.string(at + 1)?;
        self.skip_colon(end)
    }

    /// From behind a member's name to its value.
    #[inline(always)]
    fn skip_colon(&mut self, at: usize) -> Scan<usize> {
        let at = self.skip_blanks(at);
        match self.peek(at) {
            Some(b':') => Ok(self.skip_blanks(at + 1)),
            _ => Err(SyntaxError { offset: at }),
        }
    }

    /// A container of any depth whose bracket, at `at`, is on `level`. Returns the index behind it.
    fn container(&mut self, mut at: usize, level: u32) -> Scan<usize> {
        self.work.stack.clear();
        let mut depth = 0;
        loop {
            // A value begins at `at`.
            match self.peek(at) {
                Some(open @ (b'{' | b'[')) => {
                    let is_object = open == b'{';
                    self.work.stack.push(is_object);
                    self.note_level(level + depth, at);
                    depth += 1;
                    at = self.skip_blanks(at + 1);
                    let is_empty = self.peek(at) == Some(if is_object { b'}' } else { b']' });
                    if !is_empty {
                        at = if is_object { self.skip_name(at)? } else { at };
                        continue;
                    }
                }
                _ => at = self.scalar(at)?,
            }
            // A value ends in front of `at`, or an empty container is about to.
            match self.close(at, &mut depth)? {
                Next::Value(next) => at = next,
                Next::End(end) => return Ok(end),
            }
        }
    }

    #[inline(always)]
    fn scalar(&mut self, at: usize) -> Scan<usize> {
        match self.peek(at) {
            Some(b'"') => Ok(self.string(at + 1)?.0),
            Some(b'0'..=b'9') => number_end(self.text, at),
            _ => Ok(self.word(at)?.1),
        }
    }

    /// What follows a value: closing brackets, then a comma or the end.
    #[inline(always)]
    fn close(&mut self, mut at: usize, depth: &mut u32) -> Scan<Next> {
        loop {
            at = self.skip_blanks(at);
            let is_object = self.work.stack.top();
            match self.peek(at) {
                Some(b',') => {
                    self.notes.commas += 1;
                    let next = self.skip_blanks(at + 1);
                    return Ok(Next::Value(if is_object { self.skip_name(next)? } else { next }));
                }
                Some(b'}') if is_object => {}
                Some(b']') if !is_object => {}
                _ => return Err(SyntaxError { offset: at }),
            }
            at += 1;
            self.work.stack.pop();
            *depth -= 1;
            if *depth == 0 {
                return Ok(Next::End(at));
            }
        }
    }

    #[inline(always)]
    fn note_level(&mut self, level: u32, at: usize) {
        if level > self.notes.deepest {
            self.notes.deepest = level;
            if level == DEPTH_MAX + 1 {
                self.notes.too_deep_at = at;
            }
        }
    }
}

/// Whether the whole text is one JSON value with nothing but blanks around it; `lenient`: `NaN` and its like are values.
///
/// # Errors
///
/// The index of the first byte that cannot go on.
pub fn check(text: &[u8], lenient: bool) -> Result<(), usize> {
    let mut work = Workspace::default();
    let mut scanner = Scanner::new(text, lenient, &mut work);
    let start = scanner.skip_blanks(0);
    let value = scanner.value(start, 1).map_err(|error| error.offset)?;
    let end = scanner.skip_blanks(value.end as usize);
    if end < text.len() { Err(end) } else { Ok(()) }
}

enum Next {
    /// Another value begins here.
    Value(usize),
    /// The outermost container ends in front of this.
    End(usize),
}
