//! Table and room are never left, whatever the caller writes into header and input: numbers that make no sense are a
//! panic that is caught, and then no token has an id and nothing counts as written (P3).

mod support;

use sluicegate_core::batch::{HEADER_INTS, header, status};
use sluicegate_core::{Call, Options};
use support::invariants::{is_filled, request_of};
use support::mutation::{Random, mutate, seeds, words};
use support::{Harness, Request, options};

const CALLS: u64 = 30_000;
const ROOM_BYTES: usize = 1 << 13;
const UNTOUCHED: u8 = 0xA5;
/// Stands where no decoder may write.
const GUARD: i32 = 0x5AFE_5AFE;
const GUARD_INTS: usize = 64;

/// What a header number may be when the caller has gone mad.
fn mad_number(random: &mut Random, sensible: i32) -> i32 {
    match random.below(8) {
        0 => i32::MIN,
        1 => i32::MAX,
        2 => -1,
        3 => 0,
        4 => random.next() as i32,
        5 => random.below(2 * ROOM_BYTES) as i32,
        _ => sensible + random.below(5) as i32 - 2,
    }
}

/// Spoils some of what the caller wrote, memory sizes included; returns the table's length.
fn spoil(harness: &mut Harness, random: &mut Random) -> usize {
    for index in 0..=header::ROOM_END {
        if random.below(10) == 0 {
            harness.table[index] = mad_number(random, harness.table[index]);
        }
    }
    if random.below(10) == 0 {
        harness.input.truncate(random.below(50));
    }
    match random.below(10) {
        0 => random.below(2 * HEADER_INTS),
        1 => HEADER_INTS + random.below(100),
        _ => harness.table.len() - GUARD_INTS,
    }
}

fn call(harness: &mut Harness, body: &[u8], table_ints: usize, scratch_bytes: usize) -> i32 {
    let Harness { decoder, table, input, scratch, room, .. } = harness;
    let (table, scratch) = (&mut table[..table_ints], &mut scratch[..scratch_bytes]);
    decoder.decode(Call { table, input, scratch, body, batch: room })
}

/// One call with numbers spoilt; says whether it was decoded.
fn check(harness: &mut Harness, request: Request, random: &mut Random) -> bool {
    let position = random.below(ROOM_BYTES + 1);
    harness.prepare(request, position, position + random.below(ROOM_BYTES - position + 1));
    let table_ints = spoil(harness, random);
    let sizes = [harness.scratch.len(), random.below(harness.scratch.len())];
    let scratch_bytes = sizes[usize::from(random.below(10) == 0)];
    let asked = [header::ROOM_POSITION, header::ROOM_END].map(|index| harness.header(index));
    harness.table[table_ints..].fill(GUARD);
    harness.room.fill(UNTOUCHED);
    let tokens = harness.decoder.tokens.count();
    let status = call(harness, request.body, table_ints, scratch_bytes);
    assert!(harness.table[table_ints..].iter().all(|&int| int == GUARD));
    // A room that lies outside the buffer is none.
    let [start, end] = asked.map(|index| usize::try_from(index).unwrap_or(0).min(ROOM_BYTES));
    let end = end.max(start);
    assert!(is_filled(&harness.room[..start], UNTOUCHED) && is_filled(&harness.room[end..], UNTOUCHED));
    let is_ok = status == status::OK as i32;
    assert!(is_ok || harness.decoder.tokens.count() == tokens, "tokens were made without a result");
    if table_ints >= HEADER_INTS {
        assert_eq!(harness.header(header::STATUS), status);
        assert!(is_ok || harness.header(header::ROWS) == 0);
    }
    if is_ok {
        let behind = harness.header(header::END) as usize;
        assert!(start <= behind && behind <= end);
        assert_eq!(behind - start, harness.header(header::BYTES_NEEDED) as usize);
    }
    is_ok
}

#[test]
fn p3_no_call_writes_outside_table_and_room() {
    let (seeds, words) = (seeds("decode"), words());
    let options = Options { records_max: 5, ..options() };
    let mut harness = Harness::sized(options, 1 << 13, ROOM_BYTES);
    harness.table.resize(harness.table.len() + GUARD_INTS, GUARD);
    std::panic::set_hook(Box::new(|_| {}));
    let mut decoded = 0;
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for seed in 0..CALLS {
            let mut random = Random::new(seed);
            let mut input = random.pick::<Vec<u8>>(&seeds).clone();
            mutate(&mut input, &mut random, &seeds, &words);
            let Some((_, request)) = request_of(&input) else { continue };
            decoded += u64::from(check(&mut harness, request, &mut random));
        }
    }));
    let _ = std::panic::take_hook();
    // The hook that was silent would have shown it.
    if let Err(panic) = result {
        let message = panic.downcast_ref::<String>().cloned();
        panic!(
            "{}",
            message.or(panic.downcast_ref().map(|text: &&str| (*text).to_owned())).unwrap_or_default()
        );
    }
    // Both kinds must have been seen.
    assert!((CALLS / 10..CALLS * 9 / 10).contains(&decoded), "{decoded} of {CALLS} were decoded");
}
