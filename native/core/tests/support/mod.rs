//! A decoder with its memory, for tests that look at it from outside.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use sluicegate_core::batch::{HEADER_INTS, ROW_INTS, header, row};
use sluicegate_core::{Call, Content, Decoder, Endpoint, Options, SCRATCH_BYTES_MORE, StoreIp};

pub const RECEIVED_MS: f64 = 1_795_500_000_000.0;
/// Request id, address, User-Agent, project id, token of the credential.
pub const CONTEXT: [&str; 5] = ["req7", "\"203.0.113.9\"", "\"curl/8\"", "null", ""];
const SCRATCH_BYTES: usize = 1 << 20;

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
    pub query: &'a str,
    pub body: &'a [u8],
}

pub fn json(body: &str) -> Request<'_> {
    Request { endpoint: Endpoint::Track, content: Content::Json, query: "", body: body.as_bytes() }
}

pub struct Harness {
    pub decoder: Decoder,
    pub table: Vec<i32>,
    input: Vec<u8>,
    scratch: Vec<u8>,
    pub room: Vec<u8>,
}

impl Harness {
    pub fn new(options: Options) -> Self {
        let table = vec![0; HEADER_INTS + ROW_INTS * options.records_max];
        let decoder = Decoder::new(options);
        let scratch = vec![0; SCRATCH_BYTES + SCRATCH_BYTES_MORE];
        Self { decoder, table, input: Vec::new(), scratch, room: vec![0; 1 << 20] }
    }

    /// Decodes into `room[position..end]`; returns the status.
    pub fn decode(&mut self, request: Request, position: usize, end: usize) -> i32 {
        for (half, bytes) in self.table.iter_mut().zip(RECEIVED_MS.to_ne_bytes().chunks(4)) {
            *half = i32::from_ne_bytes(bytes.try_into().unwrap());
        }
        self.input.clear();
        self.input.extend_from_slice(request.query.as_bytes());
        for (index, part) in CONTEXT.iter().enumerate() {
            self.input.extend_from_slice(part.as_bytes());
            self.table[header::REQUEST_ID_LENGTH + index] = part.len() as i32;
        }
        let numbers = [
            (header::ENDPOINT, request.endpoint as usize),
            (header::CONTENT, request.content as usize),
            (header::SWITCHES, 0),
            (header::QUERY_LENGTH, request.query.len()),
            (header::ROOM_POSITION, position),
            (header::ROOM_END, end),
        ];
        for (index, value) in numbers {
            self.table[index] = value as i32;
        }
        let Self { decoder, table, input, scratch, room } = self;
        decoder.decode(Call { table, input, scratch, body: request.body, batch: room })
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
