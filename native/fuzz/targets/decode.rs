//! What holds for every request: no panic (libfuzzer's hook ends the process on one, caught or not), output inside the
//! room, an exact demand for room, rows that add up, and envelopes that are JSON around the record as it was sent.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sluicegate_core::batch::{HEADER_INTS, ROW_INTS, header, outcome, row, status};
use sluicegate_core::{Call, Decoder, Options, SCRATCH_BYTES_MORE, StoreIp};

const RECORDS_MAX: usize = 20;
const ROOM_BYTES: usize = 1 << 16;
const SCRATCH_BYTES: usize = 1 << 13;
const OK: i32 = status::OK as i32;
const NEEDS_ROOM: i32 = status::NEEDS_ROOM as i32;

struct Harness {
    decoder: Decoder,
    table: Vec<i32>,
    input: Vec<u8>,
    scratch: Vec<u8>,
    room: Vec<u8>,
}

/// One request, made from the fuzzer's bytes: two choose, then a query's length, the query, the body.
struct Request<'a> {
    choice: [u8; 2],
    query: &'a [u8],
    body: &'a [u8],
}

impl<'a> Request<'a> {
    fn from(data: &'a [u8]) -> Option<Self> {
        let (&[one, two, length], rest) = data.split_first_chunk()?;
        let (query, body) = rest.split_at_checked(length as usize)?;
        Some(Self { choice: [one, two], query, body })
    }
}

impl Harness {
    fn new(variant: u8) -> Self {
        let tokens = vec![b"t0k".to_vec(), b"a".to_vec()];
        let decoder = Decoder::new(Options {
            records_max: RECORDS_MAX,
            record_bytes_max: if variant & 1 == 0 { 1 << 20 } else { 200 },
            output_bytes_max: if variant & 2 == 0 { ROOM_BYTES - 3 } else { 2000 },
            store_ip: StoreIp::from_int(u32::from(variant) % 3).unwrap(),
            drop_late: variant & 2 != 0,
            tokens_allowed: (variant & 1 != 0).then_some(tokens),
            tokens_max: 100,
            hash_seed: 1,
            panic_on: None,
        });
        Self {
            table: vec![0; decoder.table_ints()],
            decoder,
            input: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES + SCRATCH_BYTES_MORE],
            room: vec![0; ROOM_BYTES],
        }
    }

    fn decode(&mut self, request: &Request, position: usize, end: usize) -> i32 {
        let received: f64 = 1_795_500_000_000.0;
        for (half, bytes) in self.table.iter_mut().zip(received.to_ne_bytes().chunks(4)) {
            *half = i32::from_ne_bytes(bytes.try_into().unwrap());
        }
        let parts: [&[u8]; 6] = [request.query, b"req7", b"\"1.2.3.4\"", b"null", b"\"7\"", b"auth"];
        self.input = parts.concat();
        for (index, part) in parts.iter().enumerate() {
            self.table[header::QUERY_LENGTH + index] = part.len() as i32;
        }
        let [one, two] = request.choice;
        let numbers = [
            (header::ENDPOINT, usize::from(one & 3)),
            (header::CONTENT, usize::from(two % 5)),
            (header::SWITCHES, usize::from(one >> 7)),
            (header::ROOM_POSITION, position),
            (header::ROOM_END, end),
        ];
        for (index, value) in numbers {
            self.table[index] = value as i32;
        }
        let Self { decoder, table, input, scratch, room } = self;
        decoder.decode(Call { table, input, scratch, body: request.body, batch: room })
    }

    fn header(&self, index: usize) -> usize {
        self.table[index] as usize
    }

    fn check(&mut self, request: &Request) {
        const POSITION: usize = 3;
        self.room.fill(0xA5);
        let free = self.decode(request, POSITION, ROOM_BYTES);
        assert_eq!(free, OK);
        let needed = self.header(header::BYTES_NEEDED);
        assert_eq!(self.header(header::END), POSITION + needed);
        let written = self.room[POSITION..POSITION + needed].to_vec();
        self.check_rows(request, POSITION, needed);
        let rows = self.table[HEADER_INTS..].to_vec();
        if needed > 0 {
            assert_eq!(self.decode(request, POSITION, POSITION), NEEDS_ROOM);
            assert_eq!(self.header(header::BYTES_NEEDED), needed);
            assert_eq!(self.decode(request, POSITION, POSITION + needed - 1), NEEDS_ROOM);
            assert_eq!(self.header(header::BYTES_NEEDED), needed);
        }
        self.room.fill(0xA5);
        assert_eq!(self.decode(request, POSITION, POSITION + needed), OK);
        assert_eq!(self.room[POSITION..POSITION + needed], written);
        assert!(
            self.room[..POSITION].iter().chain(&self.room[POSITION + needed..]).all(|&byte| byte == 0xA5)
        );
        assert_eq!(self.table[HEADER_INTS..], rows);
    }

    fn check_rows(&self, request: &Request, position: usize, needed: usize) {
        let counts = [header::ACCEPTED, header::REJECTED, header::IGNORED].map(|index| self.header(index));
        let count = self.header(header::ROWS);
        assert_eq!(self.header(header::RECEIVED), count);
        assert_eq!(counts.iter().sum::<usize>(), count);
        assert!((1..=RECORDS_MAX).contains(&count));
        let source = if self.header(header::PAYLOAD_SOURCE) == 0 { request.body } else { &self.scratch };
        let start = self.header(header::PAYLOAD_START);
        let payload = &source[start..start + self.header(header::PAYLOAD_LENGTH)];
        let mut at = position;
        for index in 0..count {
            let fields = &self.table[HEADER_INTS + index * ROW_INTS..][..ROW_INTS];
            let raw = &payload[fields[row::RAW_START] as usize..][..fields[row::RAW_LENGTH] as usize];
            assert!((-1..=payload.len() as i32).contains(&fields[row::PROBLEM_OFFSET]));
            assert_eq!(fields[row::OUTCOME] == outcome::REJECTED, fields[row::PROBLEM] != 0);
            if fields[row::OUTCOME] == outcome::ACCEPTED {
                assert_eq!(fields[row::POSITION] as usize, at);
                let record = &self.room[at..at + fields[row::LENGTH] as usize];
                check_record(record, raw);
                at += record.len();
            }
        }
        assert_eq!(at, position + needed);
    }
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
    let is_repaired =
        envelope["flags"].as_array().unwrap().iter().any(|flag| repairs.iter().any(|name| flag == name));
    match serde_json::from_slice::<Value>(raw) {
        Ok(sent) => assert_eq!(envelope["record"], sent),
        Err(error) => assert!(is_repaired || is_deep(raw), "{error}"),
    }
}

/// serde_json gives up at 128 levels of all brackets, the decoder at 64 a record; the envelope adds one.
fn is_deep(raw: &[u8]) -> bool {
    raw.iter().filter(|&&byte| matches!(byte, b'{' | b'[')).count() >= 100
}

thread_local! {
    static HARNESSES: RefCell<[Harness; 4]> = RefCell::new([0, 1, 2, 3].map(Harness::new));
}

fuzz_target!(|data: &[u8]| {
    let Some(request) = Request::from(data) else { return };
    if request.body.len() > SCRATCH_BYTES {
        return;
    }
    let variant = usize::from(request.choice[0] >> 2 & 3);
    HARNESSES.with_borrow_mut(|harnesses| harnesses[variant].check(&request));
});
