//! The hot function: the body and the query in, one integer out, made with `napi_create_function`.
//!
//! A method of a `#[napi]` class costs six times as much: 325 against 50 ns for an empty one. Its state lies behind
//! the callback's data pointer and is freed by a finaliser; each environment (worker thread) has its own.

use std::cell::RefCell;
use std::ffi::CStr;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::slice;

use napi::bindgen_prelude::{FromNapiValue, Unknown};
use napi::{Env, Error, Result, check_status, sys};
use sluicegate_core::batch::{self, header, status};
use sluicegate_core::{Call, Decoder};

use crate::pinned::{Pinned, bytes_of};

/// A decoder and the memory it works in.
pub struct State {
    /// Never borrowed while JavaScript runs, except by the other functions of the same handle.
    pub decoder: RefCell<Decoder>,
    table: Pinned,
    input: Pinned,
    scratch: Pinned,
    /// Where records go, until another one is bound.
    room: RefCell<Option<Pinned>>,
}

type Span = (*mut u8, usize);

/// Why there was no call.
type Refusal = &'static CStr;

const NOT_AN_ARRAY: Refusal = c"decode takes a typed array";
const NO_ROOM: Refusal = c"decode needs a room that was bound";
const MEETS_ROOM: Refusal = c"decode takes a body that shares no memory with the room";
const NOT_A_QUERY: Refusal = c"decode takes a string that fits into the input as its query";

fn overlap((left, left_length): Span, (right, right_length): Span) -> bool {
    let (left, right) = (left as usize, right as usize);
    let is_either_empty = left_length == 0 || right_length == 0;
    !is_either_empty && left < right + right_length && right < left + left_length
}

impl State {
    /// Refuses memory that is not apart from each other or not aligned.
    pub fn new(decoder: RefCell<Decoder>, table: Pinned, input: Pinned, scratch: Pinned) -> Result<Self> {
        let [first, second, third] = [table.span(), input.span(), scratch.span()];
        if overlap(first, second) || overlap(second, third) || overlap(first, third) {
            return Err(Error::from_reason("table, input and scratch must not overlap"));
        }
        if !(first.0 as usize).is_multiple_of(align_of::<i32>()) {
            return Err(Error::from_reason("the table must begin at a multiple of four bytes"));
        }
        Ok(Self { decoder, table, input, scratch, room: RefCell::new(None) })
    }

    /// From now on records go there; refuses memory that is the decoder's own.
    pub fn bind_room(&self, room: Pinned) -> Result<()> {
        if self.own().into_iter().any(|own| overlap(room.span(), own)) {
            return Err(Error::from_reason("the room must not overlap the decoder's own memory"));
        }
        self.room.replace(Some(room));
        Ok(())
    }

    #[inline]
    fn own(&self) -> [Span; 3] {
        [&self.table, &self.input, &self.scratch].map(Pinned::span)
    }

    /// Writes the query, one byte a character, behind what stands in the input, and its length into the header. From here
    /// that costs half of what a call of its own into Node does.
    fn put_query(&self, env: sys::napi_env, query: sys::napi_value) -> std::result::Result<(), Refusal> {
        let ((table, _), (input, input_bytes)) = (self.table.span(), self.input.span());
        // SAFETY: the table is aligned and longer than its header (asked when it was pinned); nothing else refers to it yet.
        let header: &mut [i32] = unsafe { slice::from_raw_parts_mut(table.cast(), batch::HEADER_INTS) };
        // SAFETY: as above; the input is apart from the table.
        let input = unsafe { slice::from_raw_parts_mut(input, input_bytes) };
        let lengths = &header[header::REQUEST_ID_LENGTH..=header::AUTH_TOKEN_LENGTH];
        // One by one: JavaScript has just written some of them, and to read several as one piece would have to wait for that.
        let start = lengths.iter().map(|&length| i64::from(black_box(length))).sum::<i64>();
        let free = usize::try_from(start).ok().and_then(|start| input.get_mut(start..)).ok_or(NOT_A_QUERY)?;
        let (bytes, mut length) = (free.as_mut_ptr().cast(), 0);
        // SAFETY: `free` has as many bytes; a zero byte behind the text is one of them.
        let status =
            unsafe { sys::napi_get_value_string_latin1(env, query, bytes, free.len(), &raw mut length) };
        // With no more than the zero byte left, it may have been cut.
        if status != sys::Status::napi_ok || length + 1 >= free.len() {
            return Err(NOT_A_QUERY);
        }
        header[header::QUERY_LENGTH] = length as i32;
        Ok(())
    }

    /// Decodes one request, unless that could touch memory which is seen twice.
    fn decode(&self, span: Span) -> std::result::Result<i32, Refusal> {
        let own = self.own();
        let room = self.room.borrow().as_ref().map(Pinned::span).ok_or(NO_ROOM)?;
        if overlap(span, room) {
            return Err(MEETS_ROOM);
        }
        let copy;
        // SAFETY: the argument is alive during the call, and nothing writes to it meanwhile.
        let mut body = unsafe { slice::from_raw_parts(span.0, span.1) };
        if own.into_iter().any(|other| overlap(span, other)) {
            // It is a view of the last payload, which lies in the scratch buffer. From here on only the copy is used.
            copy = body.to_vec();
            body = &copy;
        }
        let [(table, table_bytes), (input, input_bytes), (scratch, scratch_bytes)] = own;
        // SAFETY: the arrays are pinned; they and the room are apart from each other (checked once), and the body is apart
        // from all of them; the table is aligned, any bytes are integers, and JavaScript does not run in this thread during the
        // call.
        let call = unsafe {
            Call {
                table: slice::from_raw_parts_mut(table.cast(), table_bytes / size_of::<i32>()),
                input: slice::from_raw_parts(input, input_bytes),
                scratch: slice::from_raw_parts_mut(scratch, scratch_bytes),
                body,
                batch: slice::from_raw_parts_mut(room.0, room.1),
            }
        };
        Ok(self.decoder.borrow_mut().decode(call))
    }
}

/// The function for one state, which lives as long as the function.
pub fn create_function(env: &Env, state: Rc<State>) -> Result<Unknown<'_>> {
    const NAME: &str = "decode";
    let env = env.raw();
    let data = Rc::into_raw(state).cast_mut().cast();
    let mut function = ptr::null_mut();
    // SAFETY: `data` stays valid until the finaliser takes it back; without a finaliser it leaks, which is safe.
    unsafe {
        let name = NAME.as_ptr().cast();
        let length = NAME.len() as isize;
        check_status!(sys::napi_create_function(env, name, length, Some(decode), data, &raw mut function))?;
        let hint = ptr::null_mut();
        check_status!(sys::napi_add_finalizer(env, function, data, Some(release), hint, ptr::null_mut()))?;
        Unknown::from_napi_value(env, function)
    }
}

/// Called by the garbage collector, or when the environment ends.
unsafe extern "C" fn release(_: sys::napi_env, data: *mut std::ffi::c_void, _: *mut std::ffi::c_void) {
    // SAFETY: `data` came from `Rc::into_raw` and is taken back once.
    drop(unsafe { Rc::from_raw(data.cast::<State>().cast_const()) });
}

/// `decode(body, query)`: the status; a `TypeError` for arguments that cannot be used. Without a query it is
/// the one that stands in the input.
unsafe extern "C" fn decode(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let answer = catch_unwind(AssertUnwindSafe(|| answer(env, info)));
    let status = match answer {
        Ok(Ok(status)) => status,
        Ok(Err(refusal)) => {
            // SAFETY: the text ends with a zero byte; what is thrown is seen once this function returns.
            unsafe { sys::napi_throw_type_error(env, ptr::null(), refusal.as_ptr()) };
            return ptr::null_mut();
        }
        Err(_) => status::PANICKED as i32,
    };
    let mut result = ptr::null_mut();
    // SAFETY: the pointer is to a local; on failure it stays null, which is `undefined`.
    unsafe { sys::napi_create_int32(env, status, &raw mut result) };
    result
}

#[inline]
fn answer(env: sys::napi_env, info: sys::napi_callback_info) -> std::result::Result<i32, Refusal> {
    let (mut arguments, mut count, mut data) = ([ptr::null_mut(); 2], 2, ptr::null_mut());
    let (list, this) = (arguments.as_mut_ptr(), ptr::null_mut());
    // SAFETY: `arguments` has as many places as `count` says; those that are not given become `undefined`.
    let status = unsafe { sys::napi_get_cb_info(env, info, &raw mut count, list, this, &raw mut data) };
    if status != sys::Status::napi_ok {
        return Err(NOT_AN_ARRAY);
    }
    let [body, query] = arguments;
    let body = bytes_of(env, body).map_err(|_| NOT_AN_ARRAY)?;
    // SAFETY: `data` is the state that `create_function` put there; the function that is being called keeps it alive.
    let state = unsafe { &*data.cast::<State>().cast_const() };
    // Last: what JavaScript wrote a moment ago is read here as one piece, which the processor makes wait.
    if count > 1 {
        state.put_query(env, query)?;
    }
    state.decode(body)
}
