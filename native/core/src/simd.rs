//! The searches and the base64 of `scalar.rs` with vector instructions; the one file with `unsafe` code.
//!
//! Why it is sound: every vector load and store is preceded by a check that its 16 (or 32) bytes lie inside the slice,
//! and functions that need more than the processor's baseline are entered only after its features were asked for.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod x86 {
    use crate::scalar;
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_cmplt_epi8, _mm_crc32_u8, _mm_crc32_u64,
        _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };

    const WIDTH: usize = 16;

    /// Sixteen bytes from `at` on; `None` when fewer are left.
    #[inline(always)]
    fn load(text: &[u8], at: usize) -> Option<__m128i> {
        let chunk = text.get(at..at + WIDTH)?;
        // SAFETY: `chunk` has WIDTH bytes; the load needs no alignment.
        Some(unsafe { _mm_loadu_si128(chunk.as_ptr().cast()) })
    }

    #[inline(always)]
    fn splat(byte: u8) -> __m128i {
        // SAFETY: SSE2 belongs to every x86_64 processor.
        unsafe { _mm_set1_epi8(byte as i8) }
    }

    /// Index of the first byte that `marks` marks; the last, incomplete chunk is left to `scalar`.
    #[inline(always)]
    fn find(
        text: &[u8],
        mut at: usize,
        marks: impl Fn(__m128i) -> __m128i,
        scalar: impl Fn(&[u8], usize) -> usize,
    ) -> usize {
        while let Some(chunk) = load(text, at) {
            // SAFETY: SSE2, as above.
            let found = unsafe { _mm_movemask_epi8(marks(chunk)) };
            if found != 0 {
                return at + found.trailing_zeros() as usize;
            }
            at += WIDTH;
        }
        scalar(text, at)
    }

    /// See [`scalar::find_special`].
    #[inline(always)]
    pub fn find_special(text: &[u8], at: usize) -> usize {
        // As signed numbers, bytes from 80 (hex) on are below zero: one comparison finds them and the controls.
        // SAFETY: SSE2, as above.
        let marks = |chunk| unsafe {
            let quotes =
                _mm_or_si128(_mm_cmpeq_epi8(chunk, splat(b'"')), _mm_cmpeq_epi8(chunk, splat(b'\\')));
            _mm_or_si128(quotes, _mm_cmplt_epi8(chunk, splat(0x20)))
        };
        find(text, at, marks, scalar::find_special)
    }

    /// See [`scalar::find_stop`].
    #[inline(always)]
    pub fn find_stop(text: &[u8], at: usize) -> usize {
        // SAFETY: SSE2, as above.
        let marks = |chunk| unsafe {
            let quotes =
                _mm_or_si128(_mm_cmpeq_epi8(chunk, splat(b'"')), _mm_cmpeq_epi8(chunk, splat(b'\\')));
            _mm_or_si128(quotes, _mm_cmpeq_epi8(_mm_min_epu8(chunk, splat(0x1F)), chunk))
        };
        find(text, at, marks, scalar::find_stop)
    }

    /// See [`scalar::find_either`].
    #[inline(always)]
    pub fn find_either(text: &[u8], at: usize, one: u8, other: u8) -> usize {
        // SAFETY: SSE2, as above.
        let marks = |chunk| unsafe {
            _mm_or_si128(_mm_cmpeq_epi8(chunk, splat(one)), _mm_cmpeq_epi8(chunk, splat(other)))
        };
        find(text, at, marks, |text, at| scalar::find_either(text, at, one, other))
    }

    /// See [`scalar::alphabet_end`].
    #[inline(always)]
    pub fn alphabet_end(text: &[u8], at: usize) -> usize {
        // SAFETY: SSE2, as above.
        let between = |chunk, low: u8, high: u8| unsafe {
            let above = _mm_cmpgt_epi8(chunk, splat(low - 1));
            _mm_and_si128(above, _mm_cmplt_epi8(chunk, splat(high + 1)))
        };
        // SAFETY: SSE2, as above.
        let marks = |chunk| unsafe {
            let letters = between(_mm_or_si128(chunk, splat(0x20)), b'a', b'z');
            // `/` stands right before `0`.
            let digits = _mm_or_si128(between(chunk, b'/', b'9'), _mm_cmpeq_epi8(chunk, splat(b'+')));
            _mm_cmpeq_epi8(_mm_or_si128(letters, digits), splat(0))
        };
        find(text, at, marks, scalar::alphabet_end)
    }

    /// CRC-32C of `bytes` behind what `seed` stands for; `None` where the processor cannot.
    pub fn crc32c(bytes: &[u8], seed: u32) -> Option<u32> {
        // SAFETY: the feature is there.
        std::is_x86_feature_detected!("sse4.2").then(|| unsafe { crc32c_sse42(bytes, seed) })
    }

    #[target_feature(enable = "sse4.2")]
    fn crc32c_sse42(bytes: &[u8], seed: u32) -> u32 {
        let mut crc = u64::from(!seed);
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            crc = _mm_crc32_u64(crc, u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        !words.remainder().iter().fold(crc as u32, |crc, &byte| _mm_crc32_u8(crc, byte))
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{alphabet_end, crc32c, find_either, find_special, find_stop};

#[cfg(not(target_arch = "x86_64"))]
pub use crate::scalar::{alphabet_end, find_either, find_special, find_stop};

/// There is no instruction for it that this file knows.
#[cfg(not(target_arch = "x86_64"))]
pub fn crc32c(_bytes: &[u8], _seed: u32) -> Option<u32> {
    None
}

/// See [`crate::scalar::decode_groups`].
pub fn decode_base64(buffer: &mut [u8], characters: usize) -> usize {
    crate::scalar::decode_groups(buffer, 0, characters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar;

    /// Every byte value at every place around the vector's width, among neutral bytes and random ones.
    #[test]
    fn searches_agree_with_their_scalar_twins() {
        let mut state = 1_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        for length in 0..70 {
            for special in 0..=255_u8 {
                let mut text: Vec<u8> =
                    (0..length).map(|_| if special & 1 == 0 { b'x' } else { random() }).collect();
                if let Some(byte) = text.get_mut(special as usize % length.max(1)) {
                    *byte = special;
                }
                for at in 0..=length {
                    assert_eq!(find_special(&text, at), scalar::find_special(&text, at));
                    assert_eq!(find_stop(&text, at), scalar::find_stop(&text, at));
                    assert_eq!(
                        find_either(&text, at, b'%', b'&'),
                        scalar::find_either(&text, at, b'%', b'&')
                    );
                    assert_eq!(alphabet_end(&text, at), scalar::alphabet_end(&text, at));
                }
            }
        }
    }
}
