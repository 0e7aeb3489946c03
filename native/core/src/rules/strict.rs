//! `/import` with `strict=1`.

use super::{Fault, Judge, Rule};
use crate::json::slot;
use crate::json::value::Kind;
use crate::json::walk::Walker;
use crate::problem::Problem;
use crate::record::time::{self, Ms};
use crate::text::{is_blank, trim_blanks};

const FUTURE_MS_MAX: i64 = 3_600_000;
const YEAR_1971_MS: i64 = 31_536_000_000;
const INSERT_ID_BYTES_MAX: usize = 36;

const DISALLOWED: [&[u8]; 17] = [
    b"00000000-0000-0000-0000-000000000000",
    b"anon",
    b"anonymous",
    b"nil",
    b"none",
    b"null",
    b"n/a",
    b"na",
    b"undefined",
    b"unknown",
    b"<nil>",
    b"0",
    b"-1",
    b"true",
    b"false",
    b"[]",
    b"{}",
];

fn is_disallowed(text: &[u8]) -> bool {
    let (start, end) = trim_blanks(text, 0, text.len());
    let trimmed = &text[start..end];
    DISALLOWED.iter().any(|word| word.eq_ignore_ascii_case(trimmed))
}

impl Judge<'_> {
    pub(super) fn strict_import(&mut self) -> Rule {
        self.strict_outline()?;
        let token = self.import_token();
        self.known_token(token)?;
        if !self.item.is_string(slot::EVENT, b"$merge") {
            self.strict_time()?;
            self.strict_distinct_id()?;
            self.strict_insert_id()?;
        }
        self.strict_utf8()?;
        self.strict_shape()
    }

    /// 60 and 26
    fn strict_outline(&self) -> Rule {
        let event = self.item.string(slot::EVENT);
        let is_named = event.is_some_and(|text| !text.bytes.iter().copied().all(is_blank));
        self.rule(is_named, Problem::ImportEventBlank, slot::EVENT)?;
        let properties = self.value(slot::PROPERTIES);
        self.rule(properties.kind == Kind::Object, Problem::PropertiesInvalid, slot::PROPERTIES)
    }

    /// 61 to 64
    fn strict_time(&self) -> Rule {
        let value = self.value(slot::TIME);
        self.rule(value.is_present(), Problem::ImportTimeMissing, slot::TIME)?;
        self.rule(value.kind == Kind::Number, Problem::ImportTimeInvalid, slot::TIME)?;
        let received_ms = self.request.envelope.received_ms;
        let (is_future, is_past) = match time::read(value.raw(self.item.payload)) {
            Ms::At(ms) => (ms > received_ms.saturating_add(FUTURE_MS_MAX), ms < YEAR_1971_MS),
            Ms::TooLate => (true, false),
            Ms::TooEarly => (false, true),
        };
        self.rule(!is_future, Problem::ImportTimeFuture, slot::TIME)?;
        self.rule(!is_past, Problem::ImportTimePast, slot::TIME)
    }

    /// 65 and 66
    fn strict_distinct_id(&self) -> Rule {
        let is_present = self.value(slot::DISTINCT_ID).is_present();
        self.rule(is_present, Problem::ImportDistinctIdMissing, slot::DISTINCT_ID)?;
        let text = self.item.text(slot::DISTINCT_ID);
        let is_allowed = text.is_some_and(|text| !is_disallowed(text.bytes));
        self.rule(is_allowed, Problem::ImportDistinctIdDisallowed, slot::DISTINCT_ID)
    }

    /// 67 to 70
    fn strict_insert_id(&self) -> Rule {
        let value = self.value(slot::INSERT_ID);
        let fault = |problem| Err::<(), Fault>(self.fault(problem, slot::INSERT_ID));
        if !value.is_present() {
            return fault(Problem::ImportInsertIdMissing);
        }
        let Some(text) = self.item.text(slot::INSERT_ID) else {
            let is_empty = Walker::new(self.item.payload, value.start as usize).element().is_none();
            return fault(if is_empty {
                Problem::ImportInsertIdDisallowed
            } else {
                Problem::ImportInsertIdCharset
            });
        };
        let is_named = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        match text.bytes {
            [] => fault(Problem::ImportInsertIdMissing),
            id if is_disallowed(id) => fault(Problem::ImportInsertIdDisallowed),
            id if !id.iter().all(is_named) => fault(Problem::ImportInsertIdCharset),
            id if id.len() > INSERT_ID_BYTES_MAX => fault(Problem::ImportInsertIdTooLong),
            _ => Ok(()),
        }
    }
}
