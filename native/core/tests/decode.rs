//! The decoder from outside: table, room, panics.

mod support;

use sluicegate_core::batch::{header, outcome, row, status};
use sluicegate_core::{Content, Endpoint, Options, Problem};
use support::{Harness, Request, json, options};

const OK: i32 = status::OK as i32;
const NEEDS_ROOM: i32 = status::NEEDS_ROOM as i32;
const PANICKED: i32 = status::PANICKED as i32;
const EVENT: &str = r#"{"event":"Signup","properties":{"token":"t0k","distinct_id":"u1","time":1795499000,"$insert_id":"abc-1"}}"#;

#[test]
fn one_event_becomes_one_record() {
    let mut harness = Harness::new(options());
    assert_eq!(harness.decode(json(EVENT), 100, 5000), OK);
    let (key, envelope) = harness.event(0);
    assert_eq!(key, "t0k:u1");
    let expected = concat!(
        r#"{"v":1,"kind":"track","token":"t0k","project_id":null,"received_ms":1795500000000,"request_id":"req7","index":0,"#,
        r#""ip":"203.0.113.9","geo":"none","ua":"curl/8","lib":null,"insert_id":"abc-1","insert_id_source":"client","#,
        r#""distinct_id":"u1","distinct_id_source":"record","time_ms":1795499000000,"flags":[],"record":"#
    );
    assert_eq!(envelope, format!("{expected}{EVENT}}}"));
    let record = harness.record(0);
    assert_eq!(record.len(), u32::from_le_bytes(record[..4].try_into().unwrap()) as usize);
    assert_eq!(record[12..16], 3_u32.to_le_bytes());
    assert_eq!(harness.row(0, row::POSITION), 100);
    assert_eq!(harness.header(header::END) as usize, 100 + record.len());
    assert_eq!(
        [header::RECEIVED, header::ACCEPTED, header::REJECTED].map(|index| harness.header(index)),
        [1, 1, 0]
    );
    assert_eq!((harness.row(0, row::TOKEN_ID), harness.header(header::TOKEN_COUNT)), (2, 3));
}

/// Up to so many gaps are noted by the scanner, beyond them the record is compacted byte by byte: nobody can tell.
#[test]
fn white_space_between_tokens_goes_however_much_there_is_of_it() {
    let mut harness = Harness::new(options());
    for elements in [0, 1, 2, 4_000, 8_000, 8_300, 9_000] {
        let list = vec!["1 "; elements].join(", ");
        let body = format!(
            "{{ \"event\" :\t\"a b\",\r\n\"properties\": {{\"token\":\"t0k\", \"l\": [{list}] }} }} "
        );
        assert_eq!(harness.decode_freely(json(&body)), OK);
        let list = vec!["1"; elements].join(",");
        let expected = format!(r#""record":{{"event":"a b","properties":{{"token":"t0k","l":[{list}]}}}}}}"#);
        let (_, envelope) = harness.event(0);
        assert!(envelope.ends_with(&expected), "{elements} elements");
    }
}

/// A debug assertion compares what was written with what was thought to be the most.
#[test]
fn texts_as_long_as_they_can_be_are_within_the_bound() {
    let mut harness = Harness::new(options());
    for length in [10, 200, 300, 600, 900, 1000, 5000] {
        for (texts, escape) in [(1, ""), (2, ""), (3, ""), (3, "\\u0001")] {
            let text =
                |index: usize| if index < texts { "i".repeat(length / texts) + escape } else { "x".into() };
            let [one, two, three] = [0, 1, 2].map(text);
            let body = format!(
                r#"{{"event":"e","properties":{{"distinct_id":"{one}","token":"{two}","$insert_id":"{three}"}}}}"#
            );
            assert_eq!(harness.decode_freely(json(&body)), OK, "{texts} texts of {length} bytes");
            assert_eq!(harness.header(header::ACCEPTED), 1);
        }
    }
}

#[test]
fn too_little_room_changes_nothing_and_says_exactly_how_much_is_needed() {
    let body = format!("[{EVENT},{},{{}}]", EVENT.replace("t0k", "t1k"));
    let mut harness = Harness::new(options());
    assert_eq!(harness.decode(json(&body), 0, 0), NEEDS_ROOM);
    let needed = harness.header(header::BYTES_NEEDED) as usize;
    assert_eq!(harness.header(header::TOKEN_COUNT), 2);
    assert_eq!(harness.header(header::ROWS), 0);
    for room in [1, needed / 2, needed - 1] {
        assert_eq!(harness.decode(json(&body), 7, 7 + room), NEEDS_ROOM, "{room}");
        assert_eq!(harness.header(header::BYTES_NEEDED) as usize, needed);
        assert_eq!(harness.header(header::END), 7);
    }
    harness.room.fill(0xAA);
    assert_eq!(harness.decode(json(&body), 7, 7 + needed), OK);
    assert_eq!(harness.header(header::END) as usize, 7 + needed);
    assert!(harness.room[..7].iter().chain(&harness.room[7 + needed..]).all(|&byte| byte == 0xAA));
    let tight: Vec<u8> = harness.room[7..7 + needed].to_vec();
    assert_eq!(harness.decode_freely(json(&body)), OK);
    assert_eq!(harness.room[..needed], tight);
    assert_eq!(harness.header(header::TOKEN_COUNT), 4);
}

/// P3: what a panic leaves behind is what was there before.
#[test]
fn p3_a_panic_is_caught_and_rolled_back() {
    let mut harness = Harness::new(Options { panic_on: Some(b"boom".to_vec()), ..options() });
    assert_eq!(harness.decode_freely(json(EVENT)), OK);
    let body = EVENT.replace("t0k", "other").replace("Signup", "boom");
    std::panic::set_hook(Box::new(|_| {}));
    assert_eq!(harness.decode_freely(json(&body)), PANICKED);
    let _ = std::panic::take_hook();
    assert_eq!(harness.decoder.tokens.count(), 3);
    assert_eq!(harness.decode_freely(json(EVENT)), OK);
    assert_eq!(harness.header(header::ACCEPTED), 1);
}

/// Rows of rejected neighbours do not disturb good ones (P3).
#[test]
fn p3_a_bad_record_never_harms_its_neighbours() {
    let body = format!("[{EVENT},null,{EVENT},{{\"event\":\"\"}},{EVENT}]");
    let mut harness = Harness::new(options());
    assert_eq!(harness.decode_freely(json(&body)), OK);
    let outcomes: Vec<i32> = (0..5).map(|index| harness.row(index, row::OUTCOME)).collect();
    let (good, bad) = (outcome::ACCEPTED, outcome::REJECTED);
    assert_eq!(outcomes, [good, bad, good, bad, good]);
    assert_eq!(harness.row(1, row::PROBLEM), Problem::RecordNotObject as i32);
    assert_eq!(harness.row(3, row::PROBLEM), Problem::EventInvalid as i32);
    assert_eq!(harness.header(header::FIRST_REJECTED), 1);
}

#[test]
fn an_undecodable_payload_is_one_rejected_row() {
    let mut harness = Harness::new(options());
    assert_eq!(harness.decode_freely(json("[{},{]")), OK);
    assert_eq!(harness.header(header::UNDECODABLE), 1);
    assert_eq!(harness.header(header::ROWS), 1);
    assert_eq!(harness.row(0, row::PROBLEM), Problem::JsonInvalid as i32);
    assert_eq!(harness.row(0, row::PROBLEM_OFFSET), 5);
    assert_eq!(harness.row(0, row::RAW_LENGTH), 6);
}

#[test]
fn limits_on_count_and_output() {
    let mut harness = Harness::new(Options { records_max: 3, output_bytes_max: 900, ..options() });
    let list = |count: usize| format!("[{}]", vec![EVENT; count].join(","));
    assert_eq!(harness.decode_freely(json(&list(4))), OK);
    assert_eq!(harness.row(0, row::PROBLEM), Problem::TooManyRecords as i32);
    assert_eq!(harness.header(header::RECORD_COUNT), 4);
    assert_eq!(harness.decode_freely(json(&list(3))), OK);
    assert_eq!(harness.row(0, row::PROBLEM), Problem::OutputTooLarge as i32);
    assert_eq!(harness.header(header::RECORD_COUNT), 3);
    assert_eq!(harness.decode_freely(json(&list(1))), OK);
    assert_eq!(harness.header(header::ACCEPTED), 1);
}

#[test]
fn every_endpoint_writes_its_kind() {
    let profile = r#"{"$token":"t","$distinct_id":"u","$group_key":"k","$group_id":"g","$set":{}}"#;
    let group = r#"{"$token":"t","$group_key":"k","$group_id":"g","$set":{}}"#;
    let mut harness = Harness::new(options());
    let cases = [
        (Endpoint::Track, EVENT, "t0k:u1"),
        (Endpoint::Engage, profile, "t:u"),
        (Endpoint::Groups, group, "t:k:g"),
        (Endpoint::Import, EVENT, "t0k:u1"),
    ];
    for (endpoint, body, key) in cases {
        let request = Request { endpoint, content: Content::Json, query: b"", body: body.as_bytes() };
        assert_eq!(harness.decode_freely(request), OK);
        assert_eq!(harness.event(0).0, key);
        assert_eq!(harness.record(0)[4], endpoint as u8);
    }
}
