//! A record's object: its members, and those of `properties` and `$mp_metadata` inside it, with the spans that count.

use super::keys::{Keys, NONE};
use super::value::{ESCAPED, Kind, Value};
use super::{Scan, Scanner, SyntaxError};
use crate::options::Endpoint;

/// Slots of [`Found`]: what rules and envelope ask for.
pub mod slot {
    /// `$insert_id`, of the properties (events) or of the record (profiles).
    pub const INSERT_ID: usize = 1;
    /// `token`, `$token`
    pub const TOKEN: usize = 2;
    /// `distinct_id`, `$distinct_id`
    pub const DISTINCT_ID: usize = 3;
    /// `time`, `$time`
    pub const TIME: usize = 4;
    /// `ip`, `$ip`
    pub const IP: usize = 5;
    /// `mp_lib`
    pub const LIB: usize = 6;
    /// `$lib_version`
    pub const LIB_VERSION: usize = 7;
    /// `$user_id`
    pub const USER_ID: usize = 8;
    /// `$device_id`
    pub const DEVICE_ID: usize = 9;
    /// `$ignore`
    pub const IGNORE: usize = 10;
    /// The first slot that is no member of `properties`.
    pub const PROPERTIES_END: usize = 11;
    /// `$mp_metadata.$mp_event_id`
    pub const METADATA_EVENT_ID: usize = 11;
    /// `$mp_metadata`
    pub const METADATA: usize = 12;
    /// `properties`
    pub const PROPERTIES: usize = 13;
    /// `event`
    pub const EVENT: usize = 14;
    /// `$group_key`
    pub const GROUP_KEY: usize = 15;
    /// `$group_id`
    pub const GROUP_ID: usize = 16;
    /// `$set`; the other operations follow in the order in which they are checked.
    pub const SET: usize = 17;
    /// `$set_once`
    pub const SET_ONCE: usize = 18;
    /// `$add`
    pub const ADD: usize = 19;
    /// `$append`
    pub const APPEND: usize = 20;
    /// `$union`
    pub const UNION: usize = 21;
    /// `$remove`
    pub const REMOVE: usize = 22;
    /// `$unset`
    pub const UNSET: usize = 23;
    /// `$delete`
    pub const DELETE: usize = 24;
    /// How many there are.
    pub const COUNT: usize = 25;
}

static EVENT_KEYS: Keys = Keys::new(&[
    (b"event", slot::EVENT),
    (b"properties", slot::PROPERTIES),
    (b"$mp_metadata", slot::METADATA),
]);

static PROPERTIES_KEYS: Keys = Keys::new(&[
    (b"$insert_id", slot::INSERT_ID),
    (b"token", slot::TOKEN),
    (b"distinct_id", slot::DISTINCT_ID),
    (b"time", slot::TIME),
    (b"ip", slot::IP),
    (b"mp_lib", slot::LIB),
    (b"$lib_version", slot::LIB_VERSION),
    (b"$user_id", slot::USER_ID),
    (b"$device_id", slot::DEVICE_ID),
    (b"$ignore", slot::IGNORE),
]);

static METADATA_KEYS: Keys = Keys::new(&[(b"$mp_event_id", slot::METADATA_EVENT_ID)]);

static PROFILE_KEYS: Keys = Keys::new(&[
    (b"$insert_id", slot::INSERT_ID),
    (b"$token", slot::TOKEN),
    (b"$distinct_id", slot::DISTINCT_ID),
    (b"$time", slot::TIME),
    (b"$ip", slot::IP),
    (b"$mp_metadata", slot::METADATA),
    (b"$group_key", slot::GROUP_KEY),
    (b"$group_id", slot::GROUP_ID),
    (b"$set", slot::SET),
    (b"$set_once", slot::SET_ONCE),
    (b"$add", slot::ADD),
    (b"$append", slot::APPEND),
    (b"$union", slot::UNION),
    (b"$remove", slot::REMOVE),
    (b"$unset", slot::UNSET),
    (b"$delete", slot::DELETE),
]);

/// A record's members that count. Of duplicates the last stays.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// By [`slot`]; slot 0 takes everything else.
    pub slots: [Value; slot::COUNT],
    /// The record's text.
    pub start: usize,
    /// The byte behind it.
    pub end: usize,
    /// The record has no members at all.
    pub is_empty: bool,
}

impl Default for Found {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl Found {
    /// Nothing found yet.
    pub const NOTHING: Self = Self { slots: [Value::ABSENT; slot::COUNT], start: 0, end: 0, is_empty: false };
}

impl Scanner<'_> {
    /// A record: an object that begins at `at`. Forgets the notes of the one before.
    pub fn record(&mut self, at: usize, endpoint: Endpoint, found: &mut Found) -> Scan<usize> {
        self.begin();
        *found = Found { start: at, ..Found::NOTHING };
        let keys = if endpoint.has_events() { &EVENT_KEYS } else { &PROFILE_KEYS };
        found.end = self.members::<true>(at, keys, found)?;
        Ok(found.end)
    }

    /// The members of an object that opens at `at`. `TOP`: it is the record itself, else an object right inside it.
    fn members<const TOP: bool>(&mut self, at: usize, keys: &Keys, found: &mut Found) -> Scan<usize> {
        let text = self.text;
        self.note_level(if TOP { 1 } else { 2 }, at);
        let mut at = self.skip_blanks(at + 1);
        if self.peek(at) == Some(b'}') {
            found.is_empty |= TOP;
            return Ok(at + 1);
        }
        let level = if TOP { 2 } else { 3 };
        loop {
            let (slot, value_at) = self.name(at, keys)?;
            let value = if TOP && matches!(slot, slot::PROPERTIES | slot::METADATA) {
                self.inner(value_at, slot, found)?
            } else if text.get(value_at) == Some(&b'"') {
                let special = self.work.marks.special(text, value_at + 1);
                // Nearly always the string's end, a comma and the next name.
                if let Some(&[b'"', b',', b'"', ..]) = text.get(special..) {
                    found.slots[slot] = Value::plain(value_at, special + 1);
                    self.notes.commas += 1;
                    at = special + 2;
                    continue;
                }
                self.string_value(value_at, special)?
            } else {
                self.bare_value(value_at, level)?
            };
            found.slots[slot] = value;
            at = self.skip_blanks(value.end as usize);
            match self.peek(at) {
                Some(b',') => at = self.skip_blanks(at + 1),
                Some(b'}') => return Ok(at + 1),
                _ => return Err(SyntaxError { offset: at }),
            }
            self.notes.commas += 1;
        }
    }

    /// A member's name at `at`: its slot, and where its value begins.
    #[inline(always)]
    fn name(&mut self, at: usize, keys: &Keys) -> Scan<(usize, usize)> {
        let text = self.text;
        if self.peek(at) != Some(b'"') {
            return Err(SyntaxError { offset: at });
        }
        let close = self.work.marks.special(text, at + 1);
        match text.get(close..) {
            // Nearly always.
            Some(&[b'"', b':', next, ..]) if next > b' ' => Ok((keys.slot(text, at + 1, close), close + 2)),
            Some([b'"', ..]) => Ok((keys.slot(text, at + 1, close), self.skip_colon(close + 1)?)),
            _ => self.special_name(at, close, keys),
        }
    }

    /// A name at `at` with something that is not plain at `special`.
    #[inline(never)]
    fn special_name(&mut self, at: usize, special: usize, keys: &Keys) -> Scan<(usize, usize)> {
        let (end, flags) = self.special_string(special)?;
        let slot = match flags & ESCAPED {
            0 => keys.slot(self.text, at + 1, end - 1),
            _ => keys.escaped_slot(&self.text[at + 1..end - 1]),
        };
        Ok((slot, self.skip_colon(end)?))
    }

    /// The value of `properties` or `$mp_metadata`: what an earlier one of that name held is forgotten.
    fn inner(&mut self, at: usize, slot: usize, found: &mut Found) -> Scan<Value> {
        let (keys, forgotten) = match slot {
            slot::PROPERTIES => (&PROPERTIES_KEYS, NONE..slot::PROPERTIES_END),
            _ => (&METADATA_KEYS, slot::METADATA_EVENT_ID..slot::METADATA_EVENT_ID + 1),
        };
        if found.slots[slot].kind != Kind::Absent {
            found.slots[forgotten].fill(Value::ABSENT);
        }
        if self.peek(at) != Some(b'{') {
            return self.value(at, 2);
        }
        let end = self.members::<false>(at, keys, found)?;
        Ok(Value { start: at as u32, end: end as u32, kind: Kind::Object, flags: 0 })
    }
}
