//! The native decoder for Node: a translation table between `src/decode/native.ts` and `sluicegate-core`.
//!
//! The one hot function, `decode`, is made by hand (see [`hot`]); everything else uses napi's macros.

#![allow(rustdoc::private_intra_doc_links, reason = "read in the source, or with --document-private-items")]

mod hot;
mod pinned;

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use napi::bindgen_prelude::{
    FunctionCallContext, JsObjectValue, JsValue, Object, ToNapiValue, Uint8Array, Unknown,
};
use napi::{Env, Error, Result};
use napi_derive::napi;
use sluicegate_core::{Decoder, Options, SCRATCH_BYTES_MORE, StoreIp, batch};

use hot::State;
use pinned::Pinned;

/// What is fixed for a decoder's life; see `DecoderOptions` in `src/decode/decoder.ts`.
#[napi(object)]
pub struct NativeOptions {
    /// Records a request may hold.
    pub records_max: f64,
    /// Bytes of one record's text.
    pub record_bytes_max: f64,
    /// Bytes of records that one request may make.
    pub output_bytes_max: f64,
    /// Index into `StoreIp`.
    pub store_ip: u32,
    /// Events older than five days are ignored instead of flagged.
    pub drop_late: bool,
    /// The tokens of the tokens file; left out in open mode.
    pub tokens_allowed: Option<Vec<String>>,
    /// Token ids handed out before further tokens share id 0.
    pub tokens_max: f64,
    /// For tests alone: a body that holds these bytes makes the decoder panic.
    pub panic_on: Option<Uint8Array>,
}

/// Positions and lengths are 32-bit integers in the table.
fn size(value: f64) -> usize {
    value.clamp(0.0, f64::from(i32::MAX)) as usize
}

fn core_options(options: NativeOptions) -> Result<Options> {
    let store_ip = StoreIp::from_int(options.store_ip);
    if size(options.records_max) == 0 {
        return Err(Error::from_reason("recordsMax must be at least 1"));
    }
    let tokens_allowed = options.tokens_allowed;
    Ok(Options {
        records_max: size(options.records_max),
        record_bytes_max: size(options.record_bytes_max),
        output_bytes_max: size(options.output_bytes_max),
        store_ip: store_ip.ok_or_else(|| Error::from_reason("storeIp is not one of StoreIp"))?,
        drop_late: options.drop_late,
        tokens_allowed: tokens_allowed.map(|tokens| tokens.into_iter().map(String::into_bytes).collect()),
        tokens_max: size(options.tokens_max),
        hash_seed: RandomState::new().hash_one(0),
        panic_on: options.panic_on.map(|marker| marker.to_vec()),
    })
}

/// Takes the memory of a buffer away, which is free at once: nobody may look at it again. Only of a view of the whole
/// buffer, for in memory that is shared others have their part; false when nothing was done.
///
/// # Errors
///
/// Something else than a typed array.
#[napi(catch_unwind)]
pub fn detach(env: &Env, #[napi(ts_arg_type = "Uint8Array")] bytes: Unknown) -> Result<bool> {
    pinned::detach(env.raw(), bytes.raw())
}

/// How many bytes stand before the first one of `bytes` whose address is a multiple of `alignment`.
#[napi(catch_unwind)]
#[must_use]
pub fn bytes_to_boundary(bytes: &[u8], alignment: u32) -> u32 {
    let over = bytes.as_ptr() as usize % alignment as usize;
    if over == 0 { 0 } else { alignment - over as u32 }
}

/// A decoder over memory that the caller keeps for it alone: the table (memory of an `Int32Array`), the input and the
/// scratch buffer. They, and the rooms that are bound, are views of a `SharedArrayBuffer`, whose memory cannot be taken
/// away; no other thread may look at it during a call. `decode` writes records into the room that was bound last.
///
/// # Errors
///
/// Memory that is not shared, too small, not aligned or not apart; options that mean nothing.
#[napi(
    catch_unwind,
    ts_return_type = "{ decode(body: Uint8Array, query?: string): number; bindRoom(room: Uint8Array): void; internToken(token: string): number; findToken(token: string): number; tokenName(id: number): string | null; tokenCount(): number }"
)]
pub fn create_decoder<'env>(
    env: &'env Env,
    #[napi(ts_arg_type = "Uint8Array")] table: Unknown<'env>,
    #[napi(ts_arg_type = "Uint8Array")] input: Unknown<'env>,
    #[napi(ts_arg_type = "Uint8Array")] scratch: Unknown<'env>,
    options: NativeOptions,
) -> Result<Object<'env>> {
    let decoder = Decoder::new(core_options(options)?);
    let pin = |array: Unknown, bytes_min| Pinned::new(env.raw(), array.raw(), bytes_min);
    let table = pin(table, decoder.table_ints() * size_of::<i32>())?;
    let input = pin(input, 0)?;
    let scratch = pin(scratch, SCRATCH_BYTES_MORE)?;
    if [&table, &input, &scratch].iter().any(|pinned| i32::try_from(pinned.span().1).is_err()) {
        return Err(Error::from_reason("positions are 32-bit integers: 2 GiB at most"));
    }
    let state = Rc::new(State::new(RefCell::new(decoder), table, input, scratch)?);
    let mut handle = Object::new(env)?;
    handle.set_named_property("decode", hot::create_function(env, Rc::clone(&state))?)?;
    add(*env, &mut handle, "bindRoom", &state, |state, arguments| {
        let room: Unknown = arguments.get(0)?;
        state.bind_room(Pinned::new(arguments.env.raw(), room.raw(), 0)?)
    })?;
    add(*env, &mut handle, "internToken", &state, |state, arguments| {
        let token: String = arguments.get(0)?;
        Ok(state.decoder.borrow_mut().tokens.intern(token.as_bytes()))
    })?;
    add(*env, &mut handle, "findToken", &state, |state, arguments| {
        let token: String = arguments.get(0)?;
        Ok(state.decoder.borrow().tokens.find(token.as_bytes()).map_or(-1, i64::from))
    })?;
    add(*env, &mut handle, "tokenName", &state, |state, arguments| {
        let id: u32 = arguments.get(0)?;
        let name =
            state.decoder.borrow().tokens.name(id).map(|token| String::from_utf8_lossy(token).into_owned());
        Ok(name)
    })?;
    add(
        *env,
        &mut handle,
        "tokenCount",
        &state,
        |state, _| Ok(state.decoder.borrow().tokens.count() as u32),
    )?;
    Ok(handle)
}

/// Adds one of the functions that are not hot.
fn add<R: ToNapiValue + 'static>(
    env: Env,
    handle: &mut Object,
    name: &str,
    state: &Rc<State>,
    body: fn(&State, FunctionCallContext) -> Result<R>,
) -> Result<()> {
    let state = Rc::clone(state);
    let function = env.create_function_from_closure::<(), R, _>(name, move |arguments| {
        // A panic must not reach the engine: it would end the process.
        let call = AssertUnwindSafe(|| body(&state, arguments));
        catch_unwind(call).unwrap_or_else(|_| Err(Error::from_reason("the native decoder panicked")))
    })?;
    handle.set_named_property(name, function)
}

/// Every number that both sides must agree on, by its dotted name.
///
/// # Errors
///
/// Only those of the engine.
#[napi(catch_unwind, ts_return_type = "Record<string, number>")]
pub fn layout(env: &Env) -> Result<Object<'_>> {
    let mut layout = Object::new(env)?;
    for (name, value) in batch::layout() {
        layout.set(name, value as u32)?;
    }
    Ok(layout)
}

/// The package's version.
#[napi(catch_unwind)]
#[must_use]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// CRC-32C of `bytes`; `seed` is the checksum of what stands before them.
#[napi(js_name = "crc32c", catch_unwind)]
#[must_use]
pub fn crc32c(bytes: &[u8], seed: Option<u32>) -> u32 {
    sluicegate_core::crc32c::crc32c(bytes, seed.unwrap_or(0))
}

/// CRC-32 (IEEE) of `bytes`; `seed` is the checksum of what stands before them. Null where the processor has no
/// instruction that makes it faster than zlib's.
#[napi(js_name = "crc32", catch_unwind)]
#[must_use]
pub fn crc32(bytes: &[u8], seed: Option<u32>) -> Option<u32> {
    sluicegate_core::crc32::crc32(bytes, seed.unwrap_or(0))
}
