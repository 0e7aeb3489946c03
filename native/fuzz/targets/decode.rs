//! What holds for every request (native/core/tests/support/invariants.rs), with `serde_json` as the oracle of what is
//! accepted. libfuzzer's hook ends the process on a panic, caught or not.
#![no_main]

#[path = "../../core/tests/support/mod.rs"]
mod support;

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use support::Harness;
use support::invariants::{check, harnesses, request_of};

thread_local! {
    static HARNESSES: RefCell<[Harness; 4]> = RefCell::new(harnesses());
}

fuzz_target!(|data: &[u8]| {
    let Some((variant, request)) = request_of(data) else { return };
    HARNESSES.with_borrow_mut(|harnesses| check(&mut harnesses[usize::from(variant)], request));
});
