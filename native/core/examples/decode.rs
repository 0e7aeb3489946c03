//! Fixed requests for measuring the decoder.
//!
//! `cargo run --release --example decode` prints nanoseconds, the best of several rounds. Instruction counts, which are
//! the same on every run:
//!
//! ```sh
//! cargo build --profile profiling --example decode
//! valgrind --tool=callgrind --toggle-collect='*measured*' --callgrind-out-file=callgrind.out \
//!   target/profiling/examples/decode json
//! callgrind_annotate callgrind.out
//! ```
//!
//! With a case's name as argument, 1000 warm requests run inside `measured`: divide callgrind's total by 1000.

use std::hint::black_box;
use std::time::Instant;

use sluicegate_core::batch::{HEADER_INTS, ROW_INTS, header};
use sluicegate_core::{Call, Content, Decoder, Options, SCRATCH_BYTES_MORE, StoreIp};

const RECORDS_MAX: usize = 2000;
const ROOM_BYTES: usize = 4 << 20;
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
const CONTEXT: [&str; 5] = [
    "4fzyo82m",
    "\"203.0.113.9\"",
    "\"Mozilla/5.0 (X11; Linux x86_64) Chrome/141.0.0.0 Safari/537.36\"",
    "null",
    "",
];

const EVENT: &str = concat!(
    r#"{"event":"Page Viewed","properties":{"$os":"Linux","$browser":"Chrome","$current_url":"#,
    r#""https://shop.example.com/products/4711?ref=mail","$browser_version":141,"$screen_height":1080,"#,
    r#""$screen_width":1920,"mp_lib":"web","$lib_version":"2.71.0","$insert_id":"x8zkq0l3v2n5bw7d","time":1795499998.123,"#,
    r#""distinct_id":"18f2a6c4e1b0-0a7d","$device_id":"18f2a6c4e1b0-0a7d","plan":"pro","token":"d41d8cd98f00b204e980"}}"#
);

/// One request that is decoded over and over.
struct Case {
    name: &'static str,
    content: Content,
    query: String,
    body: Vec<u8>,
    events: u32,
}

fn cases() -> Vec<Case> {
    let encoded = percent(&base64(EVENT.as_bytes()));
    let batch = format!("[{}]", vec![EVENT; 50].join(","));
    let case = |name, content, query: &str, body: String, events: u32| Case {
        name,
        content,
        query: query.to_owned(),
        body: body.into_bytes(),
        events,
    };
    vec![
        case("json", Content::Json, "", EVENT.to_owned(), 1),
        case("form", Content::Form, "verbose=1&ip=1&_=1795499998123", format!("data={encoded}"), 1),
        case("get", Content::None, &format!("data={encoded}&verbose=1"), String::new(), 1),
        case("batch", Content::Json, "", batch.clone(), 50),
        case("batch-form", Content::Form, "", format!("data={}", percent(&base64(batch.as_bytes()))), 50),
        case("python", Content::Json, "", EVENT.replace("\":", "\": ").replace(",\"", ", \""), 1),
        case(
            "utf8",
            Content::Json,
            "",
            EVENT.replace("Page Viewed", "Страница").replace("\"pro\"", "\"プロ\""),
            1,
        ),
    ]
}

fn percent(text: &str) -> String {
    text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

fn base64(bytes: &[u8]) -> String {
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

/// A decoder with its memory.
struct Bench {
    decoder: Decoder,
    table: Vec<i32>,
    input: Vec<u8>,
    scratch: Vec<u8>,
    batch: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let decoder = Decoder::new(Options {
            records_max: RECORDS_MAX,
            record_bytes_max: 1 << 20,
            output_bytes_max: 32 << 20,
            store_ip: StoreIp::UnlessRefused,
            drop_late: false,
            tokens_allowed: None,
            tokens_max: 65_536,
            hash_seed: 1,
            panic_on: None,
        });
        Self {
            decoder,
            table: vec![0; HEADER_INTS + ROW_INTS * RECORDS_MAX],
            input: Vec::new(),
            scratch: vec![0; PAYLOAD_BYTES_MAX + SCRATCH_BYTES_MORE],
            batch: vec![0; ROOM_BYTES],
        }
    }

    /// Writes the case's context as the caller would.
    fn prepare(&mut self, case: &Case) {
        let received: f64 = 1_795_500_000_000.0;
        for (half, bytes) in self.table.iter_mut().zip(received.to_ne_bytes().chunks(4)) {
            *half = i32::from_ne_bytes(bytes.try_into().unwrap());
        }
        self.table[header::CONTENT] = case.content as i32;
        self.input = case.query.clone().into_bytes();
        self.table[header::QUERY_LENGTH] = case.query.len() as i32;
        for (index, part) in CONTEXT.iter().enumerate() {
            self.input.extend_from_slice(part.as_bytes());
            self.table[header::REQUEST_ID_LENGTH + index] = part.len() as i32;
        }
        self.table[header::ROOM_END] = ROOM_BYTES as i32;
    }

    fn decode(&mut self, case: &Case) -> i32 {
        let Self { decoder, table, input, scratch, batch } = self;
        decoder.decode(Call { table, input, scratch, body: &case.body, batch })
    }
}

#[inline(never)]
fn measured(bench: &mut Bench, case: &Case, requests: usize) {
    for _ in 0..requests {
        black_box(bench.decode(black_box(case)));
    }
}

fn main() {
    let wanted = std::env::args().nth(1);
    let mut bench = Bench::new();
    for case in cases() {
        if wanted.as_deref().is_some_and(|name| name != case.name) {
            continue;
        }
        bench.prepare(&case);
        for _ in 0..100 {
            assert_eq!(bench.decode(&case), 0);
        }
        assert_eq!(bench.table[header::ACCEPTED] as u32, case.events);
        if wanted.is_some() {
            measured(&mut bench, &case, 1000);
            continue;
        }
        let requests = 20_000 / case.events;
        let round = |bench: &mut Bench| {
            let start = Instant::now();
            measured(bench, &case, requests as usize);
            start.elapsed().as_secs_f64() * 1e9 / f64::from(requests * case.events)
        };
        let best = (0..30).map(|_| round(&mut bench)).fold(f64::INFINITY, f64::min);
        println!("{:12} {:6} B  {best:7.0} ns an event", case.name, case.body.len().max(case.query.len()));
    }
}
