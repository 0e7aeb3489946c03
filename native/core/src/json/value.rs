//! Spans of values.

/// What a value is. `NaN` and its like count as null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// There is no such member.
    #[default]
    Absent,
    /// `null`
    Null,
    /// `false`
    False,
    /// `true`
    True,
    /// A number.
    Number,
    /// A string.
    String,
    /// `{…}`
    Object,
    /// `[…]`
    Array,
}

/// [`Value::flags`]: a string with backslashes.
pub const ESCAPED: u16 = 1;
/// [`Value::flags`]: a string with bytes from 80 (hex) on.
pub const HIGH: u16 = 2;

/// Where a value lies in the payload, and what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// Its first byte.
    pub start: u32,
    /// The byte behind it.
    pub end: u32,
    /// What it is.
    pub kind: Kind,
    /// Of strings: [`ESCAPED`], [`HIGH`].
    pub flags: u16,
}

impl Value {
    /// No such member.
    pub const ABSENT: Self = Self { start: 0, end: 0, kind: Kind::Absent, flags: 0 };

    /// A string whose raw text is its value.
    #[inline]
    pub fn plain(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32, kind: Kind::String, flags: 0 }
    }

    /// The value's text as it was received, quotes included.
    #[inline]
    pub fn raw(self, payload: &[u8]) -> &[u8] {
        &payload[self.start as usize..self.end as usize]
    }

    /// A string's text between its quotes.
    #[inline]
    pub fn inside(self, payload: &[u8]) -> &[u8] {
        &payload[self.start as usize + 1..self.end as usize - 1]
    }

    /// There and not null.
    #[inline]
    pub fn is_present(self) -> bool {
        !matches!(self.kind, Kind::Absent | Kind::Null)
    }

    /// A string that is not empty. (Unescaping and repair never make a string empty.)
    #[inline]
    pub fn is_text(self) -> bool {
        self.kind == Kind::String && self.end - self.start > 2
    }

    /// A number or a string that is not empty.
    #[inline]
    pub fn is_text_or_number(self) -> bool {
        self.is_text() || self.kind == Kind::Number
    }

    /// A number, boolean or string that is not empty.
    #[inline]
    pub fn is_text_or_scalar(self) -> bool {
        self.is_text_or_number() || matches!(self.kind, Kind::True | Kind::False)
    }

    /// A number, boolean or string.
    #[inline]
    pub fn is_scalar(self) -> bool {
        self.kind == Kind::String || self.is_text_or_scalar()
    }
}
