//! `/engage` and `/groups`.

use super::{Fate, Fault, Judge, Rule, check};
use crate::json::slot;
use crate::json::value::{Kind, Value};
use crate::json::walk::Walker;
use crate::options::Endpoint;
use crate::problem::Problem;

/// What an operation's value has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    Anything,
    Object,
    /// An object of numbers that are finite as a double.
    Numbers,
    /// An object of lists, which are not empty, of strings or numbers.
    Lists,
    /// An object of strings, numbers, booleans or null.
    Scalars,
    /// A list, which is not empty, of strings.
    Names,
}

/// The operations in the order in which they are checked.
const OPERATIONS: [(usize, Problem, Operand); 8] = [
    (slot::SET, Problem::SetInvalid, Operand::Object),
    (slot::SET_ONCE, Problem::SetOnceInvalid, Operand::Object),
    (slot::ADD, Problem::AddInvalid, Operand::Numbers),
    (slot::APPEND, Problem::AppendInvalid, Operand::Object),
    (slot::UNION, Problem::UnionInvalid, Operand::Lists),
    (slot::REMOVE, Problem::RemoveInvalid, Operand::Scalars),
    (slot::UNSET, Problem::UnsetInvalid, Operand::Names),
    (slot::DELETE, Problem::OperationMissing, Operand::Anything),
];

/// A bad value inside an operation, with its member if it has one.
struct Bad {
    value: Value,
    member: Option<(usize, usize)>,
}

impl Judge<'_> {
    pub(super) fn profile(&mut self) -> Result<Fate, Fault> {
        let token = self.item.full_string(slot::TOKEN);
        self.rule(token.is_some(), Problem::ProfileTokenMissing, slot::TOKEN)?;
        self.known_token(token)?;
        if self.request.envelope.endpoint == Endpoint::Groups {
            self.group()?;
        } else {
            let has_id = self.value(slot::DISTINCT_ID).is_text_or_scalar();
            self.rule(has_id, Problem::ProfileDistinctIdMissing, slot::DISTINCT_ID)?;
        }
        self.operations()?;
        Ok(Fate::Accepted(self.moment()))
    }

    /// 42 to 44
    fn group(&self) -> Rule {
        let has_user = self.value(slot::DISTINCT_ID).is_present();
        self.rule(!has_user, Problem::GroupDistinctIdForbidden, slot::DISTINCT_ID)?;
        self.rule(self.value(slot::GROUP_KEY).is_text(), Problem::GroupKeyMissing, slot::GROUP_KEY)?;
        let has_id = self.value(slot::GROUP_ID).is_text_or_number();
        self.rule(has_id, Problem::GroupIdMissing, slot::GROUP_ID)
    }

    /// 45 to 52
    fn operations(&self) -> Rule {
        let is_group = self.request.envelope.endpoint == Endpoint::Groups;
        let mut count = 0;
        for (slot, ..) in self.known_operations(is_group) {
            count += usize::from(self.value(slot).kind != Kind::Absent);
        }
        check(count > 0, || Fault::new(Problem::OperationMissing, self.item.found.start))?;
        for (slot, problem, operand) in self.known_operations(is_group) {
            let value = self.value(slot);
            if value.kind == Kind::Absent {
                continue;
            }
            if let Some(Bad { value, member }) = find_bad(self.item.payload, value, operand) {
                return Err(Fault { member, ..Fault::new(problem, value.start as usize) });
            }
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "reads as a part of the rules")]
    fn known_operations(&self, is_group: bool) -> impl Iterator<Item = (usize, Problem, Operand)> {
        OPERATIONS.into_iter().filter(move |&(slot, ..)| !is_group || slot != slot::APPEND)
    }
}

fn find_bad(payload: &[u8], value: Value, operand: Operand) -> Option<Bad> {
    let kind = match operand {
        Operand::Anything => return None,
        Operand::Names => Kind::Array,
        _ => Kind::Object,
    };
    if value.kind != kind {
        return Some(Bad { value, member: None });
    }
    let mut walker = Walker::new(payload, value.start as usize);
    match operand {
        Operand::Anything | Operand::Object => None,
        Operand::Names => bad_element(payload, value, |element| element.kind == Kind::String)
            .map(|value| Bad { value, member: None }),
        _ => std::iter::from_fn(|| walker.member()).find_map(|(name, value)| {
            let value = bad_member(payload, value, operand)?;
            Some(Bad { value, member: Some(name) })
        }),
    }
}

fn bad_member(payload: &[u8], value: Value, operand: Operand) -> Option<Value> {
    let is_good = match operand {
        Operand::Numbers => value.kind == Kind::Number && is_finite(value.raw(payload)),
        Operand::Scalars => !matches!(value.kind, Kind::Object | Kind::Array),
        _ if value.kind == Kind::Array => {
            return bad_element(payload, value, |element| {
                matches!(element.kind, Kind::String | Kind::Number)
            });
        }
        _ => false,
    };
    (!is_good).then_some(value)
}

/// The first element that is not as it must be, or the list itself when it is empty.
fn bad_element(payload: &[u8], list: Value, is_good: impl Fn(Value) -> bool) -> Option<Value> {
    let mut walker = Walker::new(payload, list.start as usize);
    let mut element = walker.element();
    if element.is_none() {
        return Some(list);
    }
    while let Some(value) = element {
        if !is_good(value) {
            return Some(value);
        }
        element = walker.element();
    }
    None
}

/// As a double, it is not infinite. Few digits without exponent never are.
fn is_finite(number: &[u8]) -> bool {
    const SHORT: usize = 300;
    let has_exponent = number.iter().any(|byte| matches!(byte, b'e' | b'E'));
    if number.len() < SHORT && !has_exponent {
        return true;
    }
    let text = str::from_utf8(number).expect("numbers are ASCII");
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::is_finite;

    #[test]
    fn only_what_a_double_holds_is_finite() {
        let digits = "9".repeat(309);
        for (number, expected) in [
            ("0", true),
            ("-1e308", true),
            ("1.7976931348623157e308", true),
            ("1.7976931348623159e308", false),
            ("1e309", false),
            ("-1e99999999999", false),
            ("1e-99999999999", true),
            (digits.as_str(), false),
            (&digits[..308], true),
        ] {
            assert_eq!(is_finite(number.as_bytes()), expected, "{number}");
        }
    }
}
