//! The fuzz targets' checks (native/fuzz) over seeded mutations of their seeds: what a cargo test can do in seconds,
//! without sanitizers and coverage. The long form is ignored by default; `npm run test:soak` runs it.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use serde_json::value::RawValue;
use sluicegate_core::check_json;
use support::invariants::{check, harnesses, request_of};
use support::mutation::{Random, mutate, seeds, words};

const INPUTS: u64 = 40_000;
const INPUTS_LONG: u64 = 3_000_000;

/// Runs `look` over mutations of a target's seeds, the seeds themselves first; shows the input that it fails on.
fn fuzz(target: &str, first: u64, inputs: u64, mut look: impl FnMut(&[u8])) {
    let (seeds, words) = (seeds(target), words());
    for seed in first..first + inputs {
        let mut random = Random::new(seed);
        let mut input = random.pick(&seeds).clone();
        if let Some(seed) = seeds.get((seed - first) as usize) {
            input.clone_from(seed);
        } else {
            mutate(&mut input, &mut random, &seeds, &words);
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| look(&input))) {
            eprintln!("{target}, input {seed}: {:?}", String::from_utf8_lossy(&input));
            eprintln!("as bytes, for a new file in native/fuzz/seeds/{target}: {input:?}");
            resume_unwind(panic);
        }
    }
}

fn fuzz_decode(first: u64, inputs: u64) {
    let mut harnesses = harnesses();
    fuzz("decode", first, inputs, |input| {
        if let Some((variant, request)) = request_of(input) {
            check(&mut harnesses[usize::from(variant)], request);
        }
    });
}

fn fuzz_json(first: u64, inputs: u64) {
    fuzz("json", first, inputs, |input| {
        // serde_json wants UTF-8; the scanner takes any byte from 80 (hex) on inside strings.
        let text: String =
            input.iter().map(|&byte| if byte < 0x80 { char::from(byte) } else { 'é' }).collect();
        let expected = serde_json::from_str::<&RawValue>(&text).is_ok();
        assert_eq!(check_json(text.as_bytes(), false).is_ok(), expected);
        assert_eq!(check_json(input, false).is_ok(), expected);
    });
}

#[test]
fn decoding_mutated_requests_agrees_with_serde_json() {
    fuzz_decode(0, INPUTS);
}

#[test]
fn the_grammar_of_mutated_texts_is_that_of_serde_json() {
    fuzz_json(0, INPUTS * 4);
}

#[test]
#[ignore = "long form"]
fn decoding_mutated_requests_agrees_with_serde_json_soak() {
    fuzz_decode(INPUTS, INPUTS_LONG);
}

#[test]
#[ignore = "long form"]
fn the_grammar_of_mutated_texts_is_that_of_serde_json_soak() {
    fuzz_json(INPUTS * 4, INPUTS_LONG * 4);
}
