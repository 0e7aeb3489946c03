//! Fixed requests for measuring the decoder: of each case 64 different ones take turns, events of about 400 bytes.
//!
//! `cargo run --release -p sluicegate-core --example decode` prints nanoseconds an event, the best of several rounds.
//! Instruction counts, which are the same on every run:
//!
//! ```sh
//! cargo build --profile profiling -p sluicegate-core --example decode
//! valgrind --tool=callgrind --toggle-collect='*measured*' --callgrind-out-file=callgrind.out \
//!   target/profiling/examples/decode json
//! callgrind_annotate callgrind.out
//! ```
//!
//! With a case's name as argument (json, form, get, batch, batch-form, python, utf8), 1024 warm requests run inside
//! `measured`: callgrind's total ("I refs") divided by 1024 is instructions a payload. `batch` is 50 events a payload.
//! An uneven share of the last variants aside, a change of 1 % is a change of the code. A number behind the name stands
//! for 1024: millions of requests are something that `perf record` can sample.

use std::hint::black_box;
use std::time::Instant;

use sluicegate_core::batch::{HEADER_INTS, ROW_INTS, header};
use sluicegate_core::{Call, Content, Decoder, Options, SCRATCH_BYTES_MORE, StoreIp};

const RECORDS_MAX: usize = 2000;
const ROOM_BYTES: usize = 4 << 20;
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
const REQUEST_ID: &str = "4fzyo82m";
/// Address, User-Agent, project and token: what a connection's requests share.
const SHARED: [&str; 4] =
    ["\"203.0.113.9\"", "\"Mozilla/5.0 (X11; Linux x86_64) Chrome/141.0.0.0 Safari/537.36\"", "null", ""];

/// Requests of a case.
const VARIANTS: usize = 64;
/// Requests inside `measured` when a case is named.
const REQUESTS: usize = 16 * VARIANTS;

/// A seeded generator (a linear congruential one): the same requests on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn letters(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[self.below(36)])).collect()
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// An event as browsers send it.
fn event(random: &mut Random) -> String {
    let name = random.pick(&["Page Viewed", "Signed Up", "Added To Cart", "Search", "Checkout Started"]);
    let system = random.pick(&["Windows", "Linux", "Mac OS X"]);
    let browser = random.pick(&["Chrome", "Firefox", "Safari"]);
    let plan = random.pick(&["free", "pro", "team", "enterprise"]);
    let device = format!("{}-{}", random.letters(11), random.letters(14));
    let id = random.letters(16);
    let (version, ago) = (80 + random.below(60), random.below(900_000));
    let time = (1_795_499_999_000.0 - f64::from(ago as u32)) / 1000.0;
    let page = {
        let length = 10 + random.below(30);
        random.letters(length)
    };
    format!(
        concat!(
            r#"{{"event":"{}","properties":{{"$os":"{}","$browser":"{}","$browser_version":{},"#,
            r#""$screen_height":1080,"$screen_width":1920,"mp_lib":"web","$lib_version":"2.83.0","$insert_id":"{}","#,
            r#""time":{},"distinct_id":"$device:{}","$device_id":"{}","plan":"{}","#,
            r#""token":"d41d8cd98f00b204e9800998ecf84{}","$current_url":"https://shop.example.com/{}"}}}}"#
        ),
        name,
        system,
        browser,
        version,
        id,
        time,
        device,
        device,
        plan,
        random.below(1000),
        page
    )
}

/// One kind of request.
struct Case {
    name: &'static str,
    content: Content,
    /// Query and body.
    requests: Vec<(String, String)>,
    events: u32,
}

fn case(
    name: &'static str,
    content: Content,
    events: u32,
    make: impl Fn(String) -> (String, String),
) -> Case {
    let mut random = Random(u64::from(events));
    let mut payload = || {
        let list: Vec<String> = (0..events).map(|_| event(&mut random)).collect();
        if events == 1 { list.concat() } else { format!("[{}]", list.join(",")) }
    };
    Case { name, content, requests: (0..VARIANTS).map(|_| make(payload())).collect(), events }
}

fn cases() -> [Case; 7] {
    let encoded = |text: &str| percent(&base64(text.as_bytes()));
    let json = |text: String| (String::new(), text);
    let form = |text: String| ("verbose=1&ip=1&_=1795499998123".into(), format!("data={}", encoded(&text)));
    let get = |text: String| (format!("data={}&verbose=1", encoded(&text)), String::new());
    let python = |text: String| json(text.replace("\":", "\": ").replace(",\"", ", \""));
    let utf8 = |text: String| {
        json(text.replace("event\":\"", "event\":\"Страница ").replace("plan\":\"", "plan\":\"プロ "))
    };
    [
        case("json", Content::Json, 1, json),
        case("form", Content::Form, 1, form),
        case("get", Content::None, 1, get),
        case("batch", Content::Json, 50, json),
        case("batch-form", Content::Form, 50, form),
        case("python", Content::Json, 1, python),
        case("utf8", Content::Json, 1, utf8),
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

    /// Writes what all requests share, as the caller does once a connection.
    fn write_shared(&mut self) {
        let Self { table, input, .. } = self;
        let received: f64 = 1_795_500_000_000.0;
        for (half, bytes) in table.iter_mut().zip(received.to_ne_bytes().chunks(4)) {
            *half = i32::from_ne_bytes(bytes.try_into().unwrap());
        }
        table[header::ROOM_END] = ROOM_BYTES as i32;
        for (index, part) in (header::IP_JSON_LENGTH..).zip(SHARED) {
            input.extend_from_slice(part.as_bytes());
            table[index] = part.len() as i32;
        }
    }

    /// Writes what belongs to a request alone, and decodes it.
    fn decode(&mut self, content: Content, query: &str, body: &str) -> i32 {
        let Self { decoder, table, input, scratch, batch } = self;
        input.truncate(SHARED.iter().map(|part| part.len()).sum());
        input.extend_from_slice(REQUEST_ID.as_bytes());
        input.extend_from_slice(query.as_bytes());
        table[header::CONTENT] = content as i32;
        table[header::REQUEST_ID_LENGTH] = REQUEST_ID.len() as i32;
        table[header::QUERY_LENGTH] = query.len() as i32;
        decoder.decode(Call { table, input, scratch, body: body.as_bytes(), batch })
    }
}

#[inline(never)]
fn measured(bench: &mut Bench, case: &Case, requests: usize) {
    for (query, body) in case.requests.iter().cycle().take(requests) {
        black_box(bench.decode(case.content, black_box(query), black_box(body)));
    }
}

/// Nanoseconds an event.
fn round(bench: &mut Bench, case: &Case) -> f64 {
    const EVENTS: u32 = 20_000;
    let requests = EVENTS / case.events;
    let start = Instant::now();
    measured(bench, case, requests as usize);
    start.elapsed().as_secs_f64() * 1e9 / f64::from(requests * case.events)
}

fn main() {
    const ROUNDS: u32 = 30;
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next();
    let requests = arguments.next().map_or(REQUESTS, |count| count.parse().expect("a number of requests"));
    let mut bench = Bench::new();
    bench.write_shared();
    for case in cases() {
        if wanted.as_deref().is_some_and(|name| name != case.name) {
            continue;
        }
        for (query, body) in &case.requests {
            assert_eq!(bench.decode(case.content, query, body), 0);
            assert_eq!(bench.table[header::ACCEPTED] as u32, case.events);
        }
        if wanted.is_some() {
            measured(&mut bench, &case, requests);
            continue;
        }
        let best = (0..ROUNDS).map(|_| round(&mut bench, &case)).fold(f64::INFINITY, f64::min);
        println!("{:12} {best:7.0} ns an event", case.name);
    }
}
