//! No allocation for an event in the steady state: an allocator that counts sees none in 10^5 warm events.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use sluicegate_core::batch::header;
use sluicegate_core::{Content, Endpoint};
use support::invariants::{base64, percent_encoded};
use support::{Harness, Request, json, options};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
struct Counting;

// SAFETY: everything is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const EVENT: &str = r#"{"event":"e","properties":{"token":"t0k","distinct_id":"u\u00e91","time":1795499998,"$insert_id":"a-1"}}"#;
const PROFILE: &str = r#"{"$token":"t0k","$distinct_id":"u1","$set":{"a":{"b":[1,2,{"c":null}]}}}"#;

/// One kind of work.
struct Case {
    endpoint: Endpoint,
    content: Content,
    query: Vec<u8>,
    body: Vec<u8>,
}

/// Plain, escapes, white space, repairs, rejected rows, forms, base64, queries, lines, single and 50 a request.
fn cases() -> Vec<Case> {
    let broken =
        b"{\"event\":\"\xFF\",\"properties\":{\"token\":\"t0k\",\"a\":\"\\ud83c\",\"n\":NaN}}".to_vec();
    let list = format!("[{EVENT},{EVENT},7,{{}}, {EVENT}]");
    let fifty = format!("[{}]", [EVENT; 50].join(","));
    let encoded = |text: &str| percent_encoded(&base64(text.as_bytes()));
    let case =
        |endpoint, content, body: Vec<u8>| Case { endpoint, content, query: b"verbose=1".into(), body };
    let track = |content, body: Vec<u8>| case(Endpoint::Track, content, body);
    let get = |text: &str| Case {
        query: format!("data={}&ip=1", encoded(text)).into_bytes(),
        ..track(Content::None, Vec::new())
    };
    vec![
        track(Content::Json, EVENT.into()),
        track(Content::Json, fifty.clone().into()),
        track(Content::Form, format!("data={}&verbose=1", encoded(EVENT)).into()),
        track(Content::Form, format!("data={}", encoded(&fifty)).into()),
        track(Content::Form, format!("data={}", EVENT.replace('"', "%22")).into()),
        get(EVENT),
        get(&fifty),
        track(Content::Json, broken),
        track(Content::Json, list.clone().into()),
        track(Content::Json, b"{\"event\":".into()),
        track(Content::Json, format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000)).into()),
        track(Content::Ndjson, format!("{EVENT}\n\n{EVENT}\n{{").into()),
        case(Endpoint::Engage, Content::Json, PROFILE.into()),
        case(Endpoint::Import, Content::Json, list.into()),
    ]
}

/// All cases once, with room in plenty, with too little and with none; returns the events.
fn round(harness: &mut Harness, cases: &[Case]) -> usize {
    let mut events = 0;
    for Case { endpoint, content, query, body } in cases {
        let request = Request { endpoint: *endpoint, content: *content, query, body };
        for room in [0, 600, 1 << 20] {
            harness.decode(request, 0, room);
            events += harness.header(header::RECEIVED) as usize;
        }
    }
    events
}

#[test]
fn warm_events_allocate_nothing() {
    const EVENTS: usize = 100_000;
    let mut harness = Harness::new(options());
    let cases = cases();
    round(&mut harness, &cases);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let mut events = 0;
    while events < EVENTS {
        events += round(&mut harness, &cases);
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations in {events} events");
    // One more is seen: a new token makes the interner grow.
    let other = EVENT.replace("t0k", "another token, never seen before");
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    harness.decode_freely(json(&other));
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > before, "the allocator does not count");
}
