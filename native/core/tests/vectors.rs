//! The golden vectors of `docs/PROTOCOL.md` section 12 that concern decoding, from the same file that the tests in
//! TypeScript read (`__test__/vectors`, whose README describes the form).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sluicegate_core::batch::{HEADER_INTS, ROW_INTS, header, outcome, row, status};
use sluicegate_core::{Call, Content, Decoder, Endpoint, Options, SCRATCH_BYTES_MORE, StoreIp};

const RECEIVED_MS: f64 = 1_795_500_000_000.0;
const REQUEST_ID: &str = "req7";
const IP_JSON: &str = "\"203.0.113.9\"";
const UA_JSON: &str = "\"curl/8\"";
const RECORDS_MAX: usize = 2000;
const ROOM_BYTES: usize = 4 << 20;
const SCRATCH_BYTES: usize = 4 << 20;
/// Of a longer text only the start is kept with the reject.
const RAW_BYTES_MAX: usize = 64 * 1024;
/// Vectors that concern decoding; fewer would mean that they are not read.
const EXCHANGES_MIN: usize = 150;

/// What golden.jsonl refers to.
struct Terms {
    texts: Value,
    records: Value,
    /// Id and pointer of each problem code, from the one declaration.
    problems: BTreeMap<String, (i64, String)>,
}

fn repository(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn terms() -> Terms {
    let terms: Value = serde_json::from_str(&repository("__test__/vectors/terms.json")).unwrap();
    let declared: Value = serde_json::from_str(&repository("native/problems.json")).unwrap();
    let problem = |one: &Value| {
        let pointer = one["pointer"].as_str().unwrap().to_owned();
        (one["code"].as_str().unwrap().to_owned(), (one["id"].as_i64().unwrap(), pointer))
    };
    Terms {
        texts: terms["texts"].clone(),
        records: terms["records"].clone(),
        problems: declared["problems"].as_array().unwrap().iter().map(problem).collect(),
    }
}

// Expressions: see __test__/vectors/expression.ts.

fn evaluate(expression: &Value, texts: &Value) -> Vec<u8> {
    if let Some(text) = expression.as_str() {
        return text.as_bytes().to_vec();
    }
    if let Some(parts) = expression.as_array() {
        return parts.iter().flat_map(|part| evaluate(part, texts)).collect();
    }
    let of = |name: &str| evaluate(&expression[name], texts);
    let number = |name: &str| expression[name].as_u64().map(|value| value as usize);
    let has = |name: &str| expression.get(name).is_some();
    match () {
        () if has("use") => texts[expression["use"].as_str().unwrap()].as_str().unwrap().into(),
        () if has("base64") => base64(&of("base64")),
        () if has("percent") => percent_encode(&of("percent")),
        () if has("hex") => from_hex(expression["hex"].as_str().unwrap()),
        () if has("repeat") => {
            let between = expression["between"].as_str().unwrap_or("");
            repeat(&of("repeat"), number("times").unwrap(), between)
        }
        () if has("wrap") => {
            of("wrap").chunks(number("width").unwrap()).collect::<Vec<_>>().join(&b"\r\n"[..])
        }
        () if has("replace") => {
            let text = String::from_utf8(of("replace")).unwrap();
            text.replace(expression["from"].as_str().unwrap(), expression["to"].as_str().unwrap()).into()
        }
        () if has("first") => {
            let mut bytes = of("of");
            bytes.truncate(number("first").unwrap());
            bytes
        }
        () => panic!("no such expression: {expression}"),
    }
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_usize, |word, &byte| word << 8 | usize::from(byte))
            << (8 * (3 - chunk.len()));
        let letter = |index: usize| ALPHABET[word >> (18 - 6 * index) & 63];
        text.extend((0..4).map(|index| if index <= chunk.len() { letter(index) } else { b'=' }));
    }
    text
}

fn percent_encode(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            text.push(byte.into());
        } else {
            write!(text, "%{byte:02X}").unwrap();
        }
    }
    text.into()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn repeat(bytes: &[u8], times: usize, between: &str) -> Vec<u8> {
    let Ok(template) = str::from_utf8(bytes) else { return bytes.repeat(times) };
    let copies: Vec<String> =
        (0..times).map(|index| template.replace("{index}", &index.to_string())).collect();
    copies.join(between).into()
}

// A vector's request, decoded.

struct Decoded {
    decoder: Decoder,
    table: Vec<i32>,
    input: Vec<u8>,
    scratch: Vec<u8>,
    body: Vec<u8>,
    room: Vec<u8>,
}

fn options(setup: &str) -> Options {
    Options {
        records_max: RECORDS_MAX,
        record_bytes_max: 1_048_576,
        output_bytes_max: 16 << 20,
        store_ip: StoreIp::UnlessRefused,
        drop_late: setup == "late_drop",
        tokens_allowed: (setup == "tokens").then(|| vec![b"t0k".to_vec()]),
        tokens_max: 65_536,
        hash_seed: 1,
        panic_on: None,
    }
}

fn endpoint_of(target: &str) -> Endpoint {
    match target.trim_start_matches('/').split(['/', '?']).next().unwrap() {
        "track" => Endpoint::Track,
        "engage" => Endpoint::Engage,
        "groups" => Endpoint::Groups,
        "import" => Endpoint::Import,
        other => panic!("no endpoint: {other}"),
    }
}

fn content_of(send: &Value) -> Content {
    let media_type = send["headers"]["Content-Type"].as_str().unwrap_or("");
    match media_type.split(';').next().unwrap() {
        _ if send["method"] == "GET" => Content::None,
        "application/x-www-form-urlencoded" => Content::Form,
        "application/json" => Content::Json,
        "application/x-ndjson" => Content::Ndjson,
        _ => Content::Sniff,
    }
}

impl Decoded {
    fn of(exchange: &Value, setup: &str, texts: &Value) -> Self {
        let send = &exchange["send"];
        let target = String::from_utf8(evaluate(&send["target"], texts)).unwrap();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let context = &exchange["context"];
        let project_id = context.get("project_id").map_or("null".to_owned(), Value::to_string);
        let auth_token = context["auth_token"].as_str().unwrap_or("");
        let mut decoded = Self {
            decoder: Decoder::new(options(setup)),
            table: vec![0; HEADER_INTS + ROW_INTS * RECORDS_MAX],
            input: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES + SCRATCH_BYTES_MORE],
            body: send.get("body").map_or(Vec::new(), |body| evaluate(body, texts)),
            room: vec![0; ROOM_BYTES],
        };
        decoded.write_input(&[IP_JSON, UA_JSON, &project_id, auth_token], REQUEST_ID, query);
        decoded.table[header::ENDPOINT] = endpoint_of(&target) as i32;
        decoded.table[header::CONTENT] = content_of(send) as i32;
        decoded.table[header::ROOM_END] = ROOM_BYTES as i32;
        decoded.decode();
        decoded
    }

    fn write_input(&mut self, shared: &[&str; 4], request_id: &str, query: &str) {
        let received = RECEIVED_MS.to_ne_bytes();
        for (half, bytes) in self.table.iter_mut().zip(received.chunks(4)) {
            *half = i32::from_ne_bytes(bytes.try_into().unwrap());
        }
        for (index, part) in shared.iter().enumerate() {
            self.table[header::IP_JSON_LENGTH + index] = part.len() as i32;
            self.input.extend_from_slice(part.as_bytes());
        }
        for (index, part) in [(header::REQUEST_ID_LENGTH, request_id), (header::QUERY_LENGTH, query)] {
            self.table[index] = part.len() as i32;
            self.input.extend_from_slice(part.as_bytes());
        }
    }

    fn decode(&mut self) {
        let Self { decoder, table, input, scratch, body, room } = self;
        let found = decoder.decode(Call { table, input, scratch, body, batch: room });
        assert_eq!(found, status::OK as i32);
    }

    fn row(&self, index: usize, field: usize) -> i32 {
        self.table[HEADER_INTS + index * ROW_INTS + field]
    }

    fn rows_with(&self, wanted: i32) -> Vec<usize> {
        let rows = self.table[header::ROWS] as usize;
        (0..rows).filter(|&index| self.row(index, row::OUTCOME) == wanted).collect()
    }

    /// Key and envelope of an accepted row.
    fn record(&self, index: usize) -> (String, String) {
        let start = self.row(index, row::POSITION) as usize;
        let record = &self.room[start..start + self.row(index, row::LENGTH) as usize];
        let key_length = u32::from_le_bytes(record[16..20].try_into().unwrap()) as usize;
        let (key, envelope) = record[20..].split_at(key_length);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(key), text(envelope))
    }

    fn payload(&self, start: i32, length: i32) -> &[u8] {
        let source = if self.table[header::PAYLOAD_SOURCE] == 0 { &self.body } else { &self.scratch };
        let start = (self.table[header::PAYLOAD_START] + start) as usize;
        &source[start..start + length as usize]
    }

    /// What golden.jsonl says of a rejected row.
    fn problem(&self, index: usize, terms: &Terms) -> Value {
        let id = i64::from(self.row(index, row::PROBLEM));
        let (code, (_, pointer)) = terms.problems.iter().find(|(_, (known, _))| *known == id).unwrap();
        let (start, length) = (self.row(index, row::MEMBER_START), self.row(index, row::MEMBER_LENGTH));
        let pointer = match start {
            -1 => pointer.clone(),
            _ => format!("{pointer}/{}", str::from_utf8(self.payload(start, length)).unwrap()),
        };
        json!({ "index": index, "code": code, "pointer": pointer, "offset": self.row(index, row::PROBLEM_OFFSET) })
    }

    fn raw(&self, index: usize) -> Vec<u8> {
        let length = self.row(index, row::RAW_LENGTH).min(RAW_BYTES_MAX as i32);
        self.payload(self.row(index, row::RAW_START), length).to_vec()
    }
}

// What a vector expects.

/// Key and envelope of each record that must be there, in order.
fn expected_records(exchange: &Value, terms: &Terms) -> Vec<(String, String)> {
    let mut next = 0;
    let mut records = Vec::new();
    for expected in exchange["queue"].as_array().into_iter().flatten() {
        let mut all = expected["like"].as_str().map_or_else(|| json!({}), |name| terms.records[name].clone());
        for (name, value) in expected.as_object().unwrap() {
            all[name] = value.clone();
        }
        let first = all["index"].as_u64().unwrap_or(next);
        next = first + all["times"].as_u64().unwrap_or(1);
        let record = String::from_utf8(evaluate(&all["record"], &terms.texts)).unwrap();
        records.extend((first..next).map(|index| expected_record(&all, &record, index)));
    }
    records
}

fn expected_record(all: &Value, record: &str, index: u64) -> (String, String) {
    let index = index.to_string();
    let fill = |text: &str| text.replace("{request_id}", REQUEST_ID).replace("{index}", &index);
    let insert_id = fill(all["insert_id"].as_str().unwrap());
    let text = |name: &str| all.get(name).map_or("null".to_owned(), Value::to_string);
    let ip = if all.get("ip").is_some_and(Value::is_null) { "null" } else { IP_JSON };
    let members = [
        ("v", "1".to_owned()),
        ("kind", text("kind")),
        ("token", text("token")),
        ("project_id", text("project_id")),
        ("received_ms", RECEIVED_MS.to_string()),
        ("request_id", format!("\"{REQUEST_ID}\"")),
        ("index", index.clone()),
        ("ip", ip.to_owned()),
        ("geo", text("geo")),
        ("ua", UA_JSON.to_owned()),
        ("lib", text("lib")),
        ("insert_id", json!(insert_id).to_string()),
        ("insert_id_source", text("insert_id_source")),
        ("distinct_id", text("distinct_id")),
        ("distinct_id_source", text("distinct_id_source")),
        ("time_ms", text("time_ms")),
        ("flags", text("flags")),
        ("record", fill(record)),
    ];
    let members: Vec<String> = members.iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
    let key = fill(all["key"].as_str().unwrap()).replace("{insert_id}", &insert_id);
    (key, format!("{{{}}}", members.join(",")))
}

fn check(name: &str, exchange: &Value, setup: &str, terms: &Terms) {
    let decoded = Decoded::of(exchange, setup, &terms.texts);
    let accepted = decoded.rows_with(outcome::ACCEPTED);
    let records: Vec<_> = accepted.iter().map(|&index| decoded.record(index)).collect();
    assert_eq!(records, expected_records(exchange, terms), "{name}");

    let rejected = decoded.rows_with(outcome::REJECTED);
    let none = Vec::new();
    let rejects = exchange["rejects"].as_array().unwrap_or(&none);
    assert_eq!(rejected.len(), rejects.len(), "{name}");
    for (&index, expected) in rejected.iter().zip(rejects) {
        let found = decoded.problem(index, terms);
        for (member, value) in found.as_object().unwrap() {
            assert_eq!(value, &expected[member], "{name}: {member} of record {index}");
        }
        // Text that is no UTF-8 is written in base64.
        let encoded = expected.get("raw_base64").is_some();
        let wanted = evaluate(&expected[if encoded { "raw_base64" } else { "raw" }], &terms.texts);
        let raw = decoded.raw(index);
        assert!(if encoded { base64(&raw) } else { raw } == wanted, "{name}: text of record {index}");
    }
    let ignored = exchange["ignored"].as_u64().unwrap_or(0) as usize;
    assert_eq!(decoded.rows_with(outcome::IGNORED).len(), ignored, "{name}");
}

/// P8: what the reference decoder is held against, too.
#[test]
fn p8_golden_vectors() {
    let terms = terms();
    let mut exchanges = 0;
    for line in repository("__test__/vectors/golden.jsonl").lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        if !vector["levels"].as_array().unwrap().contains(&json!("decode")) {
            continue;
        }
        for (index, exchange) in vector["exchanges"].as_array().unwrap().iter().enumerate() {
            let setup = exchange["setup"].as_str().or(vector["setup"].as_str()).unwrap_or("open");
            check(&format!("vector {}.{}", vector["id"], index + 1), exchange, setup, &terms);
            exchanges += 1;
        }
    }
    assert!(exchanges >= EXCHANGES_MIN, "{exchanges} exchanges");
}
