//! Strict `/import`: text and shape of a record. Rarely more than two comparisons, since the scanner noted the bounds.

use super::{Fault, Judge, Rule};
use crate::json::slot;
use crate::json::value::{Kind, Value};
use crate::json::walk::Walker;
use crate::problem::Problem;
use crate::text::first_bad_byte;

const MEMBERS_MAX: usize = 255;
/// Containers inside a property's value; the value itself is depth 1.
const DEPTH_MAX: usize = 3;
/// The level of the scanner (the record is 1, `properties` 2) that no allowed record goes beyond.
const LEVEL_MAX: u32 = 2 + DEPTH_MAX as u32;

/// One open container.
#[derive(Clone, Copy)]
struct Level<'t> {
    walker: Walker<'t>,
    start: usize,
    kind: Kind,
    count: usize,
}

impl Level<'_> {
    fn next(&mut self) -> Option<Value> {
        let value = match self.kind {
            Kind::Object => self.walker.member().map(|(_, value)| value),
            _ => self.walker.element(),
        };
        self.count += usize::from(value.is_some());
        value
    }

    /// 73 or 74, as soon as one too many is counted.
    fn fault(&self) -> Option<(Problem, usize)> {
        let problem = match self.kind {
            Kind::Object => Problem::ImportNestedTooManyKeys,
            _ => Problem::ImportListTooLong,
        };
        (self.count > MEMBERS_MAX).then_some((problem, self.start))
    }
}

impl Judge<'_> {
    /// 71 and 76
    pub(super) fn strict_utf8(&self) -> Rule {
        if self.item.is_utf8 {
            return Ok(());
        }
        let payload = self.item.payload;
        let properties = self.value(slot::PROPERTIES);
        let mut members = Walker::new(payload, properties.start as usize);
        while let Some(((start, end), value)) = members.member() {
            let bad = |from: usize, to: usize| first_bad_byte(&payload[from..to]).map(|index| from + index);
            if let Some(offset) = bad(start, end).or_else(|| bad(value.start as usize, value.end as usize)) {
                let member = Some((start, end));
                return Err(Fault { member, ..Fault::new(Problem::ImportUtf8Invalid, offset) });
            }
        }
        let (start, end) = (self.item.found.start, self.item.found.end);
        let outside = [(start, properties.start as usize), (properties.end as usize, end)];
        for (from, to) in outside {
            if let Some(index) = first_bad_byte(&payload[from..to]) {
                return Err(Fault::new(Problem::ImportRecordUtf8Invalid, from + index));
            }
        }
        Ok(())
    }

    /// 72 to 75
    pub(super) fn strict_shape(&self) -> Rule {
        let notes = self.item.notes;
        if notes.deepest <= LEVEL_MAX && notes.commas < MEMBERS_MAX {
            return Ok(());
        }
        let start = self.value(slot::PROPERTIES).start as usize;
        let members = || {
            let mut walker = Walker::new(self.item.payload, start);
            std::iter::from_fn(move || walker.member())
        };
        if members().count() > MEMBERS_MAX {
            return Err(self.fault(Problem::ImportTooManyKeys, slot::PROPERTIES));
        }
        for (name, value) in members() {
            if let Some((problem, offset)) = self.property_fault(value) {
                return Err(Fault { member: Some(name), ..Fault::new(problem, offset) });
            }
        }
        Ok(())
    }

    /// What is wrong with a property's value, at the first bracket in text order.
    fn property_fault(&self, value: Value) -> Option<(Problem, usize)> {
        let open = |value: Value| {
            let start = value.start as usize;
            Level { walker: Walker::new(self.item.payload, start), start, kind: value.kind, count: 0 }
        };
        if !is_container(value) {
            return None;
        }
        let mut levels = [open(value); DEPTH_MAX];
        let mut depth = 1;
        let mut first: Option<(Problem, usize)> = None;
        while depth > 0 {
            let next = levels[depth - 1].next();
            let mut fault = levels[depth - 1].fault();
            match next {
                None => depth -= 1,
                Some(inner) if !is_container(inner) => {}
                Some(inner) if depth == DEPTH_MAX => {
                    fault = fault.or(Some((Problem::ImportTooDeep, inner.start as usize)));
                }
                Some(inner) => {
                    levels[depth] = open(inner);
                    depth += 1;
                }
            }
            let is_earlier = |one: (Problem, usize)| first.is_none_or(|other| one.1 < other.1);
            first = fault.filter(|&one| is_earlier(one)).or(first);
        }
        first
    }
}

fn is_container(value: Value) -> bool {
    matches!(value.kind, Kind::Object | Kind::Array)
}
