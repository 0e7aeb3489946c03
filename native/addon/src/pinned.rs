//! Memory of a typed array that stays where it is: a reference keeps the array alive, and every use asks whether the
//! memory is still the array's own. (JavaScript can take it away: `structuredClone` and `postMessage` with a transfer
//! list, `ArrayBuffer.prototype.transfer`, `resize`.)

use std::ptr::null_mut;

use napi::bindgen_prelude::{JsValue, Unknown};
use napi::{Env, Error, Result, check_status, sys};

/// The bytes of one typed array.
pub struct Pinned {
    start: *mut u8,
    length: usize,
    env: sys::napi_env,
    reference: sys::napi_ref,
}

impl Pinned {
    /// Pins a typed array of at least `bytes_min` bytes.
    pub fn new(env: &Env, array: Unknown, bytes_min: usize) -> Result<Self> {
        let (env, array) = (env.raw(), array.raw());
        let (start, length) = bytes_of(env, array)?;
        if length < bytes_min {
            return Err(Error::from_reason(format!("{length} bytes where {bytes_min} are needed")));
        }
        let mut reference = null_mut();
        // SAFETY: `array` is alive; the reference is deleted once, in `drop`.
        check_status!(unsafe { sys::napi_create_reference(env, array, 1, &raw mut reference) })?;
        Ok(Self { start, length, env, reference })
    }

    /// First byte and length.
    pub fn span(&self) -> (*mut u8, usize) {
        (self.start, self.length)
    }

    /// Both are views of one `ArrayBuffer`.
    fn shares_buffer(&self, other: &Self) -> bool {
        let mut is_same = false;
        let (one, other) = (self.buffer(), other.buffer());
        // SAFETY: both are alive, the pointer is to a local.
        let status = unsafe { sys::napi_strict_equals(self.env, one, other, &raw mut is_same) };
        status == sys::Status::napi_ok && is_same
    }

    /// The array's `ArrayBuffer`; null for what is no typed array.
    fn buffer(&self) -> sys::napi_value {
        let (mut array, mut buffer) = (null_mut(), null_mut());
        // SAFETY: the reference is strong; pointers are to locals, or null for what is not wanted.
        unsafe {
            sys::napi_get_reference_value(self.env, self.reference, &raw mut array);
            let (kind, length, data, offset) = (null_mut(), null_mut(), null_mut(), null_mut());
            sys::napi_get_typedarray_info(self.env, array, kind, length, data, &raw mut buffer, offset);
        }
        buffer
    }

    /// The array still has the memory that it was pinned with.
    #[inline]
    pub fn is_in_place(&self) -> bool {
        let (mut array, mut length) = (null_mut(), 0);
        // SAFETY: the reference is strong and deleted only in `drop`; pointers are to locals, or null for what is not wanted.
        let status = unsafe {
            sys::napi_get_reference_value(self.env, self.reference, &raw mut array);
            sys::napi_get_buffer_info(self.env, array, null_mut(), &raw mut length)
        };
        // An array whose memory was taken away has length 0, and one that has its length has the memory it was made with.
        status == sys::Status::napi_ok && length == self.length
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the last owner is a finaliser, which runs in the thread of this environment.
        unsafe { sys::napi_delete_reference(self.env, self.reference) };
    }
}

/// First byte and length of a typed array or Buffer, its place in its pool considered.
#[inline]
pub fn bytes_of(env: sys::napi_env, array: sys::napi_value) -> Result<(*mut u8, usize)> {
    let (mut start, mut length) = (null_mut(), 0);
    // SAFETY: both pointers are to locals; Node answers anything but a view of memory with `napi_invalid_arg`.
    let status = unsafe { sys::napi_get_buffer_info(env, array, &raw mut start, &raw mut length) };
    check_status!(status, "not a typed array")?;
    // An empty array may have no address; slices need one.
    let start = if start.is_null() { std::ptr::NonNull::dangling().as_ptr() } else { start.cast() };
    Ok((start, length))
}

/// Detaches the `ArrayBuffer` behind a `Uint8Array` that shows all of it; false for a view of a part, or of nothing.
pub fn detach(env: sys::napi_env, view: sys::napi_value) -> Result<bool> {
    let (mut length, mut offset, mut buffer) = (0, 0, null_mut());
    let (mut kind, data) = (0, null_mut());
    // SAFETY: pointers are to locals, or null for what is not wanted; Node answers anything but a typed array with
    // `napi_invalid_arg`.
    let status = unsafe {
        let (kind, length, offset) = (&raw mut kind, &raw mut length, &raw mut offset);
        sys::napi_get_typedarray_info(env, view, kind, length, data, &raw mut buffer, offset)
    };
    check_status!(status, "not a typed array")?;
    let is_whole = offset == 0 && buffer_length(env, buffer) == Some(length);
    if kind != sys::TypedarrayType::uint8_array || length == 0 || !is_whole {
        return Ok(false);
    }
    // SAFETY: `buffer` is alive. Whoever has a view of it sees one of length 0 from now on.
    let status = unsafe { sys::napi_detach_arraybuffer(env, buffer) };
    Ok(status == sys::Status::napi_ok)
}

/// The one `ArrayBuffer` that several pinned arrays are views of: as long as it has its length, all of them are in place.
/// Node answers for a buffer sooner than for a typed array.
pub struct PinnedBuffer {
    length: usize,
    env: sys::napi_env,
    reference: sys::napi_ref,
}

impl PinnedBuffer {
    /// `None` when the arrays do not share one.
    pub fn of<'p>(first: &Pinned, mut others: impl Iterator<Item = &'p Pinned>) -> Option<Self> {
        if !others.all(|other| first.shares_buffer(other)) {
            return None;
        }
        let (env, buffer, mut reference) = (first.env, first.buffer(), null_mut());
        let length = buffer_length(env, buffer)?;
        // SAFETY: `buffer` is alive; the reference is deleted once, in `drop`.
        let status = unsafe { sys::napi_create_reference(env, buffer, 1, &raw mut reference) };
        (status == sys::Status::napi_ok).then_some(Self { length, env, reference })
    }

    /// The buffer's memory was neither transferred nor resized.
    #[inline]
    pub fn is_in_place(&self) -> bool {
        let mut buffer = null_mut();
        // SAFETY: the reference is strong and deleted only in `drop`; the pointer is to a local.
        unsafe { sys::napi_get_reference_value(self.env, self.reference, &raw mut buffer) };
        buffer_length(self.env, buffer) == Some(self.length)
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        // SAFETY: as for `Pinned`.
        unsafe { sys::napi_delete_reference(self.env, self.reference) };
    }
}

/// Bytes of an `ArrayBuffer`; `None` for anything else.
#[inline]
fn buffer_length(env: sys::napi_env, buffer: sys::napi_value) -> Option<usize> {
    let mut length = 0;
    // SAFETY: the pointer is to a local, or null for what is not wanted; Node answers anything but an `ArrayBuffer` with
    // `napi_invalid_arg`.
    let status = unsafe { sys::napi_get_arraybuffer_info(env, buffer, null_mut(), &raw mut length) };
    (status == sys::Status::napi_ok).then_some(length)
}
