//! Memory of a typed array that stays where it is: a reference keeps the array alive.

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
        let mut reference = std::ptr::null_mut();
        // SAFETY: `array` is alive; the reference is deleted once, in `drop`.
        check_status!(unsafe { sys::napi_create_reference(env, array, 1, &raw mut reference) })?;
        Ok(Self { start, length, env, reference })
    }

    /// First byte and length.
    pub fn span(&self) -> (*mut u8, usize) {
        (self.start, self.length)
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
    let (mut start, mut length) = (std::ptr::null_mut(), 0);
    // SAFETY: both pointers are to locals; anything but a typed array is answered with an error.
    check_status!(unsafe { sys::napi_get_buffer_info(env, array, &raw mut start, &raw mut length) })?;
    // An empty array may have no address; slices need one.
    let start = if start.is_null() { std::ptr::NonNull::dangling().as_ptr() } else { start.cast() };
    Ok((start, length))
}
