//! The rules of `/track` a second time, over `serde_json`'s values: which records are accepted, why the others are not,
//! and what an accepted record's envelope says.

use serde_json::{Map, Value, value::RawValue};
use sluicegate_core::batch::{header, outcome, row};
use sluicegate_core::{Content, Endpoint, Problem};

use super::invariants::is_deep;
use super::{Harness, Request};

/// Compares the decoder's rows for a JSON payload with what `serde_json` makes of it. Left out: payloads that
/// `serde_json` cannot read although the decoder repairs them, and other endpoints.
pub fn check(harness: &Harness, request: Request, payload: &[u8]) {
    let is_json = matches!(request.content, Content::Json | Content::Form) && opens_json(payload);
    if !is_json || is_deep(payload) {
        return;
    }
    let Ok(text) = str::from_utf8(trimmed(payload)) else { return };
    check_grammar(harness, text);
    if request.endpoint != Endpoint::Track {
        return;
    }
    let items = match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items,
        Ok(item @ Value::Object(_)) => vec![item],
        _ => return,
    };
    if items.is_empty() || items.len() > harness.options.records_max {
        return assert_eq!(harness.header(header::UNDECODABLE), 1);
    }
    let problem = harness.row(0, row::PROBLEM);
    if problem == Problem::OutputTooLarge as i32 {
        return;
    }
    assert_eq!(harness.header(header::ROWS) as usize, items.len());
    for (index, item) in items.iter().enumerate() {
        check_item(harness, index, item);
    }
}

/// A payload is undecodable for its syntax exactly when `serde_json` says so, `NaN` and its like apart.
fn check_grammar(harness: &Harness, text: &str) {
    let is_invalid = harness.row(0, row::PROBLEM) == Problem::JsonInvalid as i32;
    let is_lenient = text.contains("NaN") || text.contains("Infinity");
    let is_valid = serde_json::from_str::<&RawValue>(text).is_ok();
    assert!(is_valid != is_invalid || is_lenient, "{text:?}");
}

fn opens_json(payload: &[u8]) -> bool {
    matches!(trimmed(payload).first(), Some(b'{' | b'['))
}

fn trimmed(payload: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' ');
    let start = payload.iter().take_while(|byte| is_blank(byte)).count();
    let end = payload.len() - payload[start..].iter().rev().take_while(|byte| is_blank(byte)).count();
    &payload[start..end]
}

/// What a record that is accepted says of itself.
struct Accepted {
    token: String,
    distinct_id: Option<String>,
}

/// An accepted record, `None` for an ignored one, or what is wrong.
fn judge(item: &Value, tokens: Option<&[Vec<u8>]>) -> Result<Option<Accepted>, Problem> {
    let item = item.as_object().ok_or(Problem::RecordNotObject)?;
    let event = item.get("event").ok_or(Problem::EventMissing)?;
    require(event.is_number() || is_full(event), Problem::EventInvalid)?;
    let properties = item.get("properties").ok_or(Problem::PropertiesMissing)?;
    let properties = properties.as_object().ok_or(Problem::PropertiesInvalid)?;
    let token = properties.get("token").filter(|token| is_full(token)).and_then(Value::as_str);
    let token = token.ok_or(Problem::TokenMissing)?;
    let is_known = tokens.is_none_or(|tokens| tokens.iter().any(|known| known == token.as_bytes()));
    require(is_known, Problem::TokenUnknown)?;
    let has_id = properties.get("distinct_id").is_some_and(|id| scalar(id).is_some_and(|id| !id.is_empty()));
    require(event != "$create_alias" || has_id, Problem::DistinctIdMissing)?;
    let is_ignored =
        properties.get("$ignore").is_some_and(|ignore| ignore == &Value::Bool(true) || is_full(ignore));
    let accepted = Accepted { token: token.to_owned(), distinct_id: distinct_id(properties) };
    Ok((!is_ignored).then_some(accepted))
}

fn require(holds: bool, problem: Problem) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err(problem) }
}

fn is_full(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    }
}

fn distinct_id(properties: &Map<String, Value>) -> Option<String> {
    let full = |name: &str| properties.get(name).and_then(scalar).filter(|text| !text.is_empty());
    let own = properties.get("distinct_id").and_then(scalar);
    own.or_else(|| full("$user_id")).or_else(|| full("$device_id").map(|id| format!("$device:{id}")))
}

fn check_item(harness: &Harness, index: usize, item: &Value) {
    let problem = harness.row(index, row::PROBLEM);
    let (is_large, is_deep) = (Problem::RecordTooLarge as i32, Problem::RecordTooDeep as i32);
    if problem == is_large || problem == is_deep {
        let length = harness.row(index, row::RAW_LENGTH) as usize;
        return assert!(problem == is_deep || length > harness.options.record_bytes_max);
    }
    match judge(item, harness.options.tokens_allowed.as_deref()) {
        Err(expected) => assert_eq!(problem, expected as i32, "{item}"),
        Ok(None) => assert_eq!(harness.row(index, row::OUTCOME), outcome::IGNORED, "{item}"),
        Ok(Some(accepted)) => {
            if harness.row(index, row::OUTCOME) == outcome::IGNORED {
                return assert!(harness.options.drop_late, "{item}");
            }
            assert_eq!(harness.row(index, row::OUTCOME), outcome::ACCEPTED, "{item}");
            check_envelope(harness.event(index).1, &accepted, item);
        }
    }
}

fn check_envelope(envelope: &str, accepted: &Accepted, item: &Value) {
    let envelope: Value = serde_json::from_str(envelope).unwrap();
    assert_eq!(envelope["token"], *accepted.token);
    assert_eq!(envelope["distinct_id"].as_str(), accepted.distinct_id.as_deref(), "{item}");
    assert_eq!(envelope["record"], *item);
}
