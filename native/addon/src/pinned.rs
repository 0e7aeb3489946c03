//! Memory of a typed array that stays where it is: a reference keeps it alive, and it is shared memory, which JavaScript
//! cannot take away as it can that of an `ArrayBuffer` (`postMessage` with a transfer list, `transfer`, `resize`).

use std::ptr::null_mut;

use napi::{Error, Result, check_status, sys};

/// The bytes of one typed array.
pub struct Pinned {
    start: *mut u8,
    length: usize,
    env: sys::napi_env,
    reference: sys::napi_ref,
}

impl Pinned {
    /// Pins a typed array of at least `bytes_min` bytes of shared memory.
    pub fn new(env: sys::napi_env, array: sys::napi_value, bytes_min: usize) -> Result<Self> {
        let (start, length) = bytes_of(env, array)?;
        if !is_shared(env, array)? {
            return Err(Error::from_reason("a view of a SharedArrayBuffer is needed"));
        }
        if length < bytes_min {
            return Err(Error::from_reason(format!("{length} bytes where {bytes_min} are needed")));
        }
        let mut reference = null_mut();
        // SAFETY: `array` is alive; the reference is deleted once, in `drop`.
        check_status!(unsafe { sys::napi_create_reference(env, array, 1, &raw mut reference) })?;
        report_bytes(env, length as i64);
        Ok(Self { start, length, env, reference })
    }

    /// First byte and length.
    pub fn span(&self) -> (*mut u8, usize) {
        (self.start, self.length)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        report_bytes(self.env, -(self.length as i64));
        // SAFETY: the last owner is a finaliser, which runs in the thread of this environment.
        unsafe { sys::napi_delete_reference(self.env, self.reference) };
    }
}

/// Shared memory is of no account to the garbage collector: without being told of what hangs on small objects it would let
/// any number of them lie.
fn report_bytes(env: sys::napi_env, change: i64) {
    let mut all = 0;
    // SAFETY: the pointer is to a local. Whether it succeeds makes no difference to what is pinned.
    unsafe { sys::napi_adjust_external_memory(env, change, &raw mut all) };
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

/// Whether the memory of a typed array is a `SharedArrayBuffer`.
fn is_shared(env: sys::napi_env, array: sys::napi_value) -> Result<bool> {
    let (mut buffer, mut is_array_buffer) = (null_mut(), true);
    let (kind, length, data, offset) = (null_mut(), null_mut(), null_mut(), null_mut());
    // SAFETY: pointers are to locals, or null for what is not wanted; Node answers anything but a typed array with
    // `napi_invalid_arg`, and what stands behind one is a buffer of either sort.
    unsafe {
        let status = sys::napi_get_typedarray_info(env, array, kind, length, data, &raw mut buffer, offset);
        check_status!(status, "not a typed array")?;
        check_status!(sys::napi_is_arraybuffer(env, buffer, &raw mut is_array_buffer))?;
    }
    Ok(!is_array_buffer)
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
