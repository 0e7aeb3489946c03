//! What holds for every request, whatever its bytes: output inside the room, an exact demand for room, rows that add up,
//! envelopes that are JSON around the record as it was sent, and the same result for the same payload in disguise.

use serde_json::Value;
use sluicegate_core::batch::{HEADER_INTS, ROW_INTS, header, outcome, row, status};
use sluicegate_core::{Content, Options, StoreIp};

use super::{CONTENTS, ENDPOINTS, Harness, Request, oracle};

/// Longer bodies are left out.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 13;
const RECORDS_MAX: usize = 20;
const ROOM_BYTES: usize = 1 << 17;
const POSITION: usize = 3;
/// What the room holds where nothing was written.
const UNTOUCHED: u8 = 0xA5;
const OK: i32 = status::OK as i32;
const NEEDS_ROOM: i32 = status::NEEDS_ROOM as i32;

/// A request made of arbitrary bytes: two choose, then a query's length, the query, the body.
pub fn request_of(data: &[u8]) -> Option<(u8, Request<'_>)> {
    let (&[one, two, length], rest) = data.split_first_chunk()?;
    let (query, body) = rest.split_at_checked(length as usize)?;
    let endpoint = ENDPOINTS[usize::from(one & 3)];
    let content = CONTENTS[usize::from(two) % CONTENTS.len()];
    let is_short = body.len() <= PAYLOAD_BYTES_MAX;
    is_short.then_some((one >> 2 & 3, Request { endpoint, content, query, body }))
}

/// Decoders with different settings, one for each variant of [`request_of`].
pub fn harnesses() -> [Harness; 4] {
    [0, 1, 2, 3].map(|variant: u8| {
        let tokens = vec![b"t0k".to_vec(), b"a".to_vec()];
        let options = Options {
            records_max: RECORDS_MAX,
            record_bytes_max: if variant & 1 == 0 { 1 << 20 } else { 200 },
            output_bytes_max: if variant & 2 == 0 { ROOM_BYTES - POSITION } else { 2000 },
            store_ip: StoreIp::from_int(u32::from(variant) % 3).unwrap(),
            drop_late: variant & 2 != 0,
            tokens_allowed: (variant & 1 != 0).then_some(tokens),
            tokens_max: 100,
            ..super::options()
        };
        let mut harness = Harness::sized(options, 2 * PAYLOAD_BYTES_MAX, ROOM_BYTES);
        harness.context = ["req7", "\"1.2.3.4\"", "null", "\"7\"", "auth"];
        harness
    })
}

/// Checks everything that can be checked of one request.
pub fn check(harness: &mut Harness, request: Request) {
    let needed = check_room(harness, request);
    let payload = harness.payload(request.body).to_vec();
    check_rows(harness, &payload, needed);
    oracle::check(harness, request, &payload);
    check_disguise(harness, request);
}

/// Decodes with room in plenty, too little and exactly enough; returns the bytes needed.
fn check_room(harness: &mut Harness, request: Request) -> usize {
    harness.room.fill(UNTOUCHED);
    assert_eq!(harness.decode(request, POSITION, ROOM_BYTES), OK);
    let needed = harness.header(header::BYTES_NEEDED) as usize;
    assert_eq!(harness.header(header::END) as usize, POSITION + needed);
    let written = harness.room[POSITION..POSITION + needed].to_vec();
    let rows = harness.table[HEADER_INTS..].to_vec();
    if needed > 0 {
        for room in [0, needed / 2, needed - 1] {
            harness.room.fill(UNTOUCHED);
            assert_eq!(harness.decode(request, POSITION, POSITION + room), NEEDS_ROOM);
            assert_eq!(harness.header(header::BYTES_NEEDED) as usize, needed);
            assert_untouched(harness, POSITION + room);
        }
    }
    harness.room.fill(UNTOUCHED);
    assert_eq!(harness.decode(request, POSITION, POSITION + needed), OK);
    assert_eq!(harness.room[POSITION..POSITION + needed], written);
    assert_untouched(harness, POSITION + needed);
    assert_eq!(harness.table[HEADER_INTS..], rows);
    needed
}

fn assert_untouched(harness: &Harness, end: usize) {
    assert!(is_filled(&harness.room[..POSITION], UNTOUCHED) && is_filled(&harness.room[end..], UNTOUCHED));
}

/// All bytes are `byte`. A comparison with itself, one byte further, which is quick without optimisation, too.
pub fn is_filled(bytes: &[u8], byte: u8) -> bool {
    bytes.first().is_none_or(|&first| first == byte && bytes[1..] == bytes[..bytes.len() - 1])
}

fn check_rows(harness: &Harness, payload: &[u8], needed: usize) {
    let number = |index: usize| harness.header(index) as usize;
    let count = number(header::ROWS);
    assert_eq!(number(header::RECEIVED), count);
    assert_eq!(number(header::ACCEPTED) + number(header::REJECTED) + number(header::IGNORED), count);
    assert!((1..=RECORDS_MAX).contains(&count));
    let mut at = POSITION;
    for index in 0..count {
        let field = |field: usize| harness.row(index, field);
        let raw = &payload[field(row::RAW_START) as usize..][..field(row::RAW_LENGTH) as usize];
        assert!((-1..=payload.len() as i32).contains(&field(row::PROBLEM_OFFSET)));
        assert_eq!(field(row::OUTCOME) == outcome::REJECTED, field(row::PROBLEM) != 0);
        if field(row::OUTCOME) == outcome::ACCEPTED {
            assert_eq!(field(row::POSITION) as usize, at);
            check_record(harness.record(index), raw);
            at += harness.record(index).len();
        }
    }
    assert_eq!(at, POSITION + needed);
}

/// A record is what its header says, its envelope is JSON, and the record inside is the one that was sent.
fn check_record(record: &[u8], raw: &[u8]) {
    let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(word(0), record.len());
    let (key, envelope) = record[20..].split_at(word(16));
    assert!(word(12) < key.len() && str::from_utf8(key).is_ok());
    let envelope: Value = serde_json::from_slice(envelope).unwrap();
    assert_eq!(envelope["v"], 1);
    // serde_json reads neither NaN nor lone surrogates nor invalid UTF-8: those are repaired, and have a flag.
    let repairs = ["utf8_repaired", "surrogate_repaired", "nan_replaced"];
    let mut flags = envelope["flags"].as_array().unwrap().iter();
    let is_repaired = flags.any(|flag| repairs.iter().any(|name| flag == name));
    match serde_json::from_slice::<Value>(raw) {
        Ok(sent) => assert_eq!(envelope["record"], sent),
        Err(error) => assert!(is_repaired || is_deep(raw), "{error}"),
    }
}

/// `serde_json` gives up at 128 levels of all brackets, the decoder at 64 a record; the envelope adds one.
pub fn is_deep(raw: &[u8]) -> bool {
    raw.iter().filter(|&&byte| matches!(byte, b'{' | b'[')).count() >= 100
}

/// JSON in a body gives the rows and bytes that the same text gives as percent-encoded base64 in a form.
fn check_disguise(harness: &mut Harness, request: Request) {
    let start = request.body.iter().position(|byte| !matches!(byte, b'\t'..=b'\r' | b' '));
    let is_json = start.is_some_and(|start| matches!(request.body[start], b'{' | b'['));
    if request.content != Content::Json || !is_json || has_data(request.query) {
        return;
    }
    assert_eq!(harness.decode(request, POSITION, ROOM_BYTES), OK);
    let plain = snapshot(harness);
    let form = [b"data=", percent_encoded(&base64(request.body)).as_bytes()].concat();
    let disguised = Request { content: Content::Form, body: &form, ..request };
    if form.len() <= 2 * PAYLOAD_BYTES_MAX {
        assert_eq!(harness.decode(disguised, POSITION, ROOM_BYTES), OK);
        assert_eq!(harness.payload(&form), request.body);
        assert!(snapshot(harness) == plain, "base64 changes the result");
    }
}

fn has_data(query: &[u8]) -> bool {
    query.windows(4).any(|window| window == b"data") || query.contains(&b'%')
}

fn snapshot(harness: &Harness) -> (Vec<i32>, Vec<u8>) {
    let rows = HEADER_INTS + harness.header(header::ROWS) as usize * ROW_INTS;
    let end = harness.header(header::END) as usize;
    (harness.table[HEADER_INTS..rows].to_vec(), harness.room[POSITION..end].to_vec())
}

pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * index)) as usize & 63];
            out.push(if index <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

pub fn percent_encoded(text: &str) -> String {
    text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}
