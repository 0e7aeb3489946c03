//! No allocation for an event in the steady state: an allocator that counts sees none in 10^5 warm events.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use sluicegate_core::batch::header;
use sluicegate_core::{Content, Endpoint};
use support::{Harness, Request, options};

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

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const EVENT: &str = r#"{"event":"e","properties":{"token":"t0k","distinct_id":"u\u00e91","time":1795499998,"$insert_id":"a-1"}}"#;
const PROFILE: &str = r#"{"$token":"t0k","$distinct_id":"u1","$set":{"a":{"b":[1,2,{"c":null}]}}}"#;

/// Every kind of work: plain, escapes, white space, repairs, rejected rows, forms, base64, lines, too little room.
fn bodies() -> Vec<(Endpoint, Content, Vec<u8>)> {
    let broken =
        b"{\"event\":\"\xFF\",\"properties\":{\"token\":\"t0k\",\"a\":\"\\ud83c\",\"n\":NaN}}".to_vec();
    let list = format!("[{EVENT},{EVENT},7,{{}}, {EVENT}]");
    vec![
        (Endpoint::Track, Content::Json, EVENT.into()),
        (Endpoint::Track, Content::Json, broken),
        (Endpoint::Track, Content::Json, list.clone().into()),
        (Endpoint::Track, Content::Ndjson, format!("{EVENT}\n\n{EVENT}\n{{").into()),
        (Endpoint::Track, Content::Form, format!("data={}", EVENT.replace('"', "%22")).into()),
        (
            Endpoint::Track,
            Content::Form,
            b"data=eyJldmVudCI6ImUiLCJwcm9wZXJ0aWVzIjp7InRva2VuIjoidDBrIn19&verbose=1".into(),
        ),
        (
            Endpoint::Track,
            Content::Json,
            format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000)).into(),
        ),
        (Endpoint::Engage, Content::Json, PROFILE.into()),
        (Endpoint::Import, Content::Json, list.into()),
        (Endpoint::Track, Content::Json, b"{\"event\":".into()),
    ]
}

#[test]
fn warm_events_allocate_nothing() {
    let mut harness = Harness::new(options());
    let bodies = bodies();
    let mut round = || {
        let mut events = 0;
        for (endpoint, content, body) in &bodies {
            let request = Request { endpoint: *endpoint, content: *content, query: "verbose=1", body };
            for room in [0, 600, 1 << 20] {
                harness.decode(request, 0, room);
                events += harness.header(header::RECEIVED) as usize;
            }
        }
        events
    };
    round();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let mut events = 0;
    while events < 100_000 {
        events += round();
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations in {events} events");
    let memory = std::hint::black_box(vec![0_u8; 10]);
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > before, "the allocator does not count {}", memory.len());
}
