//! A decoder with its memory, for tests that look at it from outside.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod invariants;
pub mod mutation;
pub mod oracle;

use sluicegate_core::batch::{HEADER_INTS, ROW_INTS, header, row};
use sluicegate_core::{Call, Content, Decoder, Endpoint, Options, SCRATCH_BYTES_MORE, StoreIp};

pub const RECEIVED_MS: f64 = 1_795_500_000_000.0;
/// Request id, address, User-Agent, project id, token of the credential.
pub const CONTEXT: [&str; 5] = ["req7", "\"203.0.113.9\"", "\"curl/8\"", "null", ""];
const SCRATCH_BYTES: usize = 1 << 20;
const ROOM_BYTES: usize = 1 << 20;

/// By their numbers in the table.
pub const ENDPOINTS: [Endpoint; 4] = [Endpoint::Track, Endpoint::Engage, Endpoint::Groups, Endpoint::Import];
/// By their numbers in the table.
pub const CONTENTS: [Content; 5] =
    [Content::Sniff, Content::Form, Content::Json, Content::Ndjson, Content::None];

pub fn options() -> Options {
    Options {
        records_max: 2000,
        record_bytes_max: 1_048_576,
        output_bytes_max: 32 << 20,
        store_ip: StoreIp::UnlessRefused,
        drop_late: false,
        tokens_allowed: None,
        tokens_max: 65_536,
        hash_seed: 1,
        panic_on: None,
    }
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub endpoint: Endpoint,
    pub content: Content,
    pub query: &'a [u8],
    pub body: &'a [u8],
}

pub fn json(body: &str) -> Request<'_> {
    Request { endpoint: Endpoint::Track, content: Content::Json, query: b"", body: body.as_bytes() }
}

pub struct Harness {
    pub options: Options,
    pub decoder: Decoder,
    pub table: Vec<i32>,
    pub input: Vec<u8>,
    pub scratch: Vec<u8>,
    pub room: Vec<u8>,
    /// See [`CONTEXT`].
    pub context: [&'static str; 5],
}

impl Harness {
    pub fn new(options: Options) -> Self {
        Self::sized(options, SCRATCH_BYTES, ROOM_BYTES)
    }

    /// For payloads of at most `payload_bytes_max` bytes.
    pub fn sized(options: Options, payload_bytes_max: usize, room_bytes: usize) -> Self {
        let table = vec![0; HEADER_INTS + ROW_INTS * options.records_max];
        let decoder = Decoder::new(options.clone());
        let scratch = vec![0; payload_bytes_max + SCRATCH_BYTES_MORE];
        let (input, room) = (Vec::new(), vec![0; room_bytes]);
        Self { options, decoder, table, input, scratch, room, context: CONTEXT }
    }

    /// Decodes into `room[position..end]`; returns the status.
    pub fn decode(&mut self, request: Request, position: usize, end: usize) -> i32 {
        self.prepare(request, position, end);
        self.run(request.body)
    }

    /// Decodes with table and input as they stand.
    pub fn run(&mut self, body: &[u8]) -> i32 {
        let Self { decoder, table, input, scratch, room, .. } = self;
        decoder.decode(Call { table, input, scratch, body, batch: room })
    }

    /// Writes request and context as the caller does.
    pub fn prepare(&mut self, request: Request, position: usize, end: usize) {
        for (half, bytes) in self.table.iter_mut().zip(RECEIVED_MS.to_ne_bytes().chunks(4)) {
            *half = i32::from_ne_bytes(bytes.try_into().unwrap());
        }
        self.input.clear();
        let [request_id, shared @ ..] = self.context;
        for (index, part) in shared.iter().enumerate() {
            self.input.extend_from_slice(part.as_bytes());
            self.table[header::IP_JSON_LENGTH + index] = part.len() as i32;
        }
        self.input.extend_from_slice(request_id.as_bytes());
        self.input.extend_from_slice(request.query);
        let numbers = [
            (header::ENDPOINT, request.endpoint as usize),
            (header::CONTENT, request.content as usize),
            (header::SWITCHES, 0),
            (header::REQUEST_ID_LENGTH, request_id.len()),
            (header::QUERY_LENGTH, request.query.len()),
            (header::ROOM_POSITION, position),
            (header::ROOM_END, end),
        ];
        for (index, value) in numbers {
            self.table[index] = value as i32;
        }
    }

    /// With all the room there is.
    pub fn decode_freely(&mut self, request: Request) -> i32 {
        self.decode(request, 0, self.room.len())
    }

    pub fn header(&self, index: usize) -> i32 {
        self.table[index]
    }

    pub fn row(&self, index: usize, field: usize) -> i32 {
        self.table[HEADER_INTS + index * ROW_INTS + field]
    }

    /// The bytes that hold the JSON text.
    pub fn payload<'a>(&'a self, body: &'a [u8]) -> &'a [u8] {
        let source = if self.header(header::PAYLOAD_SOURCE) == 0 { body } else { &self.scratch };
        let start = self.header(header::PAYLOAD_START) as usize;
        &source[start..start + self.header(header::PAYLOAD_LENGTH) as usize]
    }

    /// The bytes of an accepted row's record.
    pub fn record(&self, index: usize) -> &[u8] {
        let start = self.row(index, row::POSITION) as usize;
        &self.room[start..start + self.row(index, row::LENGTH) as usize]
    }

    /// Key and envelope of an accepted row.
    pub fn event(&self, index: usize) -> (&str, &str) {
        let record = self.record(index);
        let key_length = u32::from_le_bytes(record[16..20].try_into().unwrap()) as usize;
        let (key, envelope) = record[20..].split_at(key_length);
        (str::from_utf8(key).unwrap(), str::from_utf8(envelope).unwrap())
    }
}
