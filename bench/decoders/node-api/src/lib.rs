//! What a native decoder would cost that hands out objects: the payload is decoded and parsed in Rust, and each event is
//! built as a JavaScript object through Node-API. Its parser is a usual one (serde_json): against what the building of
//! objects costs that makes no difference.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use napi::bindgen_prelude::{Buffer, Error, Result};
use napi_derive::napi;
use serde_json::Value;

fn data_of(text: &[u8]) -> Result<Vec<u8>> {
    let data = form_urlencoded::parse(text).find(|(name, _)| name == "data");
    let (_, data) = data.ok_or_else(|| Error::from_reason("no data"))?;
    if data.starts_with(['{', '[']) {
        return Ok(data.into_owned().into_bytes());
    }
    // SDKs that do not percent-encode send `+`, which a form reads as a blank.
    STANDARD.decode(data.replace(' ', "+")).map_err(|error| Error::from_reason(error.to_string()))
}

fn is_good(event: &Value) -> bool {
    let is_full = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    is_full(&event["event"]) && is_full(&event["properties"]["token"])
}

fn events_of(payload: &[u8]) -> Result<Vec<Value>> {
    let value = serde_json::from_slice(payload).map_err(|error| Error::from_reason(error.to_string()))?;
    let events = match value {
        Value::Array(events) => events,
        event => vec![event],
    };
    if events.iter().all(is_good) { Ok(events) } else { Err(Error::from_reason("refused")) }
}

/// The events of a body that is their JSON text.
#[napi]
pub fn json(body: Buffer) -> Result<Vec<Value>> {
    events_of(&body)
}

/// The events of a form; throws for what is no good.
#[napi]
pub fn form(body: Buffer) -> Result<Vec<Value>> {
    events_of(&data_of(&body)?)
}

/// The events in a query.
#[napi]
pub fn query(text: String) -> Result<Vec<Value>> {
    events_of(&data_of(text.as_bytes())?)
}
