//! One record as rules and envelope see it: its members' values and their texts.

use crate::json::value::{ESCAPED, Kind, Value};
use crate::json::{Found, Gap, Notes, slot};
use crate::text;

/// A text and how it may be written.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// UTF-8.
    pub bytes: &'a [u8],
    /// No byte of it needs an escape in JSON.
    pub is_plain: bool,
}

/// The values of strings that are not plain: unescaped and repaired. Reused from record to record.
#[derive(Default)]
pub struct Arena {
    bytes: Vec<u8>,
    /// By slot; only meaningful for values whose flags are not 0.
    ranges: [(u32, u32); slot::COUNT],
}

impl Arena {
    /// Bytes beyond which memory is given back.
    const BYTES_KEPT_MAX: usize = 1 << 20;

    /// Unescapes what was found in one record; says whether the record's text is UTF-8. Values whose raw text is their
    /// value lose their flags.
    pub fn settle(&mut self, payload: &[u8], found: &mut Found, notes: &Notes) -> bool {
        if !notes.special {
            return true;
        }
        self.bytes.clear();
        self.bytes.shrink_to(Self::BYTES_KEPT_MAX);
        let is_utf8 = !notes.high || str::from_utf8(&payload[found.start..found.end]).is_ok();
        for (slot, value) in found.slots.iter_mut().enumerate() {
            if value.flags & ESCAPED == 0 && is_utf8 {
                value.flags = 0;
            }
            if value.flags != 0 && slot != 0 {
                let start = self.bytes.len();
                text::unescape(value.inside(payload), &mut self.bytes);
                self.ranges[slot] = (start as u32, self.bytes.len() as u32);
            }
        }
        is_utf8
    }
}

/// One record.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    /// Everything around it, too: offsets count from the payload's start.
    pub payload: &'a [u8],
    /// Its members.
    pub found: &'a Found,
    /// What the scanner saw in it.
    pub notes: &'a Notes,
    /// The white space outside its strings, unless there is too much of it.
    pub gaps: Option<&'a [Gap]>,
    /// Its text is UTF-8.
    pub is_utf8: bool,
    /// Where strings that are not plain were put.
    pub arena: &'a Arena,
}

impl<'a> Item<'a> {
    /// The record's text as it was received.
    pub fn raw(&self) -> &'a [u8] {
        &self.payload[self.found.start..self.found.end]
    }

    /// A member's value.
    pub fn value(&self, slot: usize) -> Value {
        self.found.slots[slot]
    }

    /// The value of a string.
    #[inline]
    pub fn string(&self, slot: usize) -> Option<Text<'a>> {
        let value = self.value(slot);
        if value.kind != Kind::String {
            return None;
        }
        if value.flags == 0 {
            return Some(Text { bytes: value.inside(self.payload), is_plain: true });
        }
        let (start, end) = self.arena.ranges[slot];
        Some(Text { bytes: &self.arena.bytes[start as usize..end as usize], is_plain: false })
    }

    /// A string that is not empty.
    #[inline]
    pub fn full_string(&self, slot: usize) -> Option<Text<'a>> {
        self.string(slot).filter(|text| !text.bytes.is_empty())
    }

    /// The text of a string, number or boolean.
    #[inline]
    pub fn text(&self, slot: usize) -> Option<Text<'a>> {
        let value = self.value(slot);
        match value.kind {
            Kind::String => self.string(slot),
            Kind::Number | Kind::True | Kind::False => {
                Some(Text { bytes: value.raw(self.payload), is_plain: true })
            }
            _ => None,
        }
    }

    /// The text of a number or of a string that is not empty.
    #[inline]
    pub fn text_or_number(&self, slot: usize) -> Option<Text<'a>> {
        self.value(slot).is_text_or_number().then(|| self.text(slot)).flatten()
    }

    /// The string is exactly this.
    pub fn is_string(&self, slot: usize, wanted: &[u8]) -> bool {
        self.string(slot).is_some_and(|text| text.bytes == wanted)
    }
}
