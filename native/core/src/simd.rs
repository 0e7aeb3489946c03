//! The searches and the base64 of `scalar.rs` with vector instructions; the one file with `unsafe` code.
//!
//! Why it is sound: every vector load and store is preceded by a check that its 16 (or 32) bytes lie inside the slice,
//! and functions that need more than the processor's baseline are entered only after its features were asked for.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod x86 {
    use crate::scalar::{self, ALL, BLOCK, Masks};
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_crc32_u8, _mm_crc32_u64, _mm_loadu_si128, _mm_min_epu8,
        _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8, _mm256_add_epi8, _mm256_and_si256,
        _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_maddubs_epi16, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_permutevar8x32_epi32, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_setr_epi32,
        _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi32, _mm256_storeu_si256,
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

    /// Index of the first byte that `marks` marks. For what is left at the end the text's last sixteen bytes are looked at
    /// once more; texts that have fewer are left to `scalar`.
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
        match text.len().checked_sub(WIDTH) {
            Some(start) if at < text.len() => {
                let Some(chunk) = load(text, start) else { return text.len() };
                // SAFETY: SSE2, as above.
                let found = unsafe { _mm_movemask_epi8(marks(chunk)) } >> (at - start);
                if found == 0 { text.len() } else { at + found.trailing_zeros() as usize }
            }
            _ => scalar(text, at),
        }
    }

    /// See [`scalar::mark`].
    #[inline]
    pub fn mark<const N: usize>(text: &[u8], masks: &mut Masks<N>) {
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the feature is there.
            unsafe { mark_avx2(text, masks) }
        } else {
            scalar::mark(text, masks);
        }
    }

    #[target_feature(enable = "avx2")]
    fn mark_avx2<const N: usize>(text: &[u8], masks: &mut Masks<N>) {
        for (index, (special, stop)) in masks.special.iter_mut().zip(&mut masks.stop).enumerate() {
            let Some(rest) = text.get(index * BLOCK..) else {
                (*special, *stop) = (ALL, ALL);
                return;
            };
            (*special, *stop) = match rest.first_chunk() {
                Some(block) => mark_block_avx2(block),
                None => mark_block_avx2(&scalar::last_block(rest)),
            };
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn mark_block_avx2(block: &[u8; BLOCK]) -> ([u8; 8], [u8; 8]) {
        let half = |start: usize| {
            let bytes: &[u8; CHARACTERS] = block[start..].first_chunk().expect("half of the block");
            // SAFETY: there are CHARACTERS bytes; the load needs no alignment.
            let bytes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
            let is = |byte: u8| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte as i8));
            let controls = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1F)), bytes);
            let stops = _mm256_or_si256(_mm256_or_si256(is(b'"'), is(b'\\')), controls);
            // The highest bits of the bytes themselves are those from 80 (hex) on.
            [bytes, stops].map(|marks| u64::from(_mm256_movemask_epi8(marks) as u32))
        };
        let ([high, stop], [high_behind, stop_behind]) = (half(0), half(CHARACTERS));
        let stop = stop | stop_behind << CHARACTERS;
        let special = stop | high | high_behind << CHARACTERS;
        (special.to_le_bytes(), stop.to_le_bytes())
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
    #[inline]
    pub fn find_either(text: &[u8], at: usize, one: u8, other: u8) -> usize {
        const LONG: usize = 128;
        if text.len() >= at.saturating_add(LONG) && std::is_x86_feature_detected!("avx2") {
            // SAFETY: the feature is there.
            return unsafe { find_either_avx2(text, at, one, other) };
        }
        find_either_sse2(text, at, one, other)
    }

    #[target_feature(enable = "avx2")]
    fn find_either_avx2(text: &[u8], mut at: usize, one: u8, other: u8) -> usize {
        let (ones, others) = (_mm256_set1_epi8(one as i8), _mm256_set1_epi8(other as i8));
        while let Some(chunk) = text.get(at..at + CHARACTERS) {
            // SAFETY: the chunk has CHARACTERS bytes; the load needs no alignment.
            let chunk = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) };
            let marks = _mm256_or_si256(_mm256_cmpeq_epi8(chunk, ones), _mm256_cmpeq_epi8(chunk, others));
            let found = _mm256_movemask_epi8(marks);
            if found != 0 {
                return at + found.trailing_zeros() as usize;
            }
            at += CHARACTERS;
        }
        find_either_sse2(text, at, one, other)
    }

    #[inline(always)]
    fn find_either_sse2(text: &[u8], at: usize, one: u8, other: u8) -> usize {
        // SAFETY: SSE2, as above.
        let marks = |chunk| unsafe {
            _mm_or_si128(_mm_cmpeq_epi8(chunk, splat(one)), _mm_cmpeq_epi8(chunk, splat(other)))
        };
        find(text, at, marks, |text, at| scalar::find_either(text, at, one, other))
    }

    /// Characters that one vector decodes at a time.
    const CHARACTERS: usize = 32;
    const LOW: [u8; WIDTH] =
        [0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1A, 0x1B, 0x1B, 0x1B, 0x1A];
    const HIGH: [u8; WIDTH] =
        [0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10];
    /// What is added to a character, by its upper half; `/` has a place of its own.
    const ROLL: [i8; WIDTH] = [0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0];
    const PACK: [i8; WIDTH] = [2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1];

    /// See [`scalar::decode_base64`].
    #[inline]
    pub fn decode_base64(source: &[u8], from: usize, target: &mut [u8], to: usize) -> (usize, usize) {
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the feature is there.
            unsafe { decode_base64_avx2(source, from, target, to) }
        } else {
            scalar::decode_base64(source, from, target, to)
        }
    }

    /// Decodes vectors of 32 characters; of one that holds something else, and of the text's end, what stands before.
    ///
    /// After Wojciech Muła: two lookups by the halves of a character have a bit in common only when it is outside the
    /// alphabet; a third one says what to add to it.
    #[target_feature(enable = "avx2")]
    fn decode_base64_avx2(
        source: &[u8],
        mut from: usize,
        target: &mut [u8],
        mut to: usize,
    ) -> (usize, usize) {
        let table = |bytes: [u8; WIDTH]| {
            // SAFETY: the array has WIDTH bytes.
            _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
        };
        let (low, high) = (table(LOW), table(HIGH));
        let (roll, pack) = (table(ROLL.map(i8::cast_unsigned)), table(PACK.map(i8::cast_unsigned)));
        let halves = _mm256_set1_epi8(0x2F);
        // Behind the text come zeroes, which are not in the alphabet.
        let mut last = [0; CHARACTERS];
        while let Some(out) = target.get_mut(to..to + CHARACTERS) {
            let rest = source.get(from..).unwrap_or_default();
            let chunk: &[u8; CHARACTERS] = if let Some(chunk) = rest.first_chunk() {
                chunk
            } else {
                last[..rest.len()].copy_from_slice(rest);
                &last
            };
            // SAFETY: the chunk has CHARACTERS bytes; the load needs no alignment.
            let text = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) };
            let upper = _mm256_and_si256(_mm256_srli_epi32::<4>(text), halves);
            let lower = _mm256_and_si256(text, halves);
            let common = _mm256_and_si256(_mm256_shuffle_epi8(high, upper), _mm256_shuffle_epi8(low, lower));
            let good = _mm256_movemask_epi8(_mm256_cmpeq_epi8(common, _mm256_setzero_si256()));
            let place = _mm256_add_epi8(_mm256_cmpeq_epi8(text, halves), upper);
            let sextets = _mm256_add_epi8(text, _mm256_shuffle_epi8(roll, place));
            let pairs = _mm256_maddubs_epi16(sextets, _mm256_set1_epi32(0x0140_0140));
            let groups = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x0001_1000));
            let packed = _mm256_shuffle_epi8(groups, pack);
            let joined = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
            // SAFETY: `out` has CHARACTERS bytes, of which the last eight are written over by the next turn.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), joined) };
            // The usual case apart: the next load must not wait for this one's result.
            if good != -1 {
                let groups = good.trailing_ones() as usize / 4;
                return (from + groups * 4, to + groups * 3);
            }
            (from, to) = (from + CHARACTERS, to + CHARACTERS / 4 * 3);
        }
        scalar::decode_base64(source, from, target, to)
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

pub use crate::scalar::Masks;

#[cfg(target_arch = "x86_64")]
pub use x86::{crc32c, decode_base64, find_either, find_stop, mark};

#[cfg(not(target_arch = "x86_64"))]
pub use crate::scalar::{decode_base64, find_either, find_stop, mark};

/// There is no instruction for it that this file knows.
#[cfg(not(target_arch = "x86_64"))]
pub fn crc32c(_bytes: &[u8], _seed: u32) -> Option<u32> {
    None
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
        for length in (0..70).chain([127, 128, 129, 191, 192, 200]) {
            for special in 0..=255_u8 {
                let mut text: Vec<u8> =
                    (0..length).map(|_| if special & 1 == 0 { b'x' } else { random() }).collect();
                if let Some(byte) = text.get_mut(special as usize % length.max(1)) {
                    *byte = special;
                }
                for at in 0..=length {
                    compare_masks(&text[at..]);
                    assert_eq!(find_stop(&text, at), scalar::find_stop(&text, at));
                    assert_eq!(
                        find_either(&text, at, b'%', b'&'),
                        scalar::find_either(&text, at, b'%', b'&')
                    );
                }
            }
        }
    }

    /// Stale bits of another text must not matter.
    fn compare_masks(text: &[u8]) {
        let stale = || Masks::<3> { special: [[0x5A; 8]; 3], stop: [[0xA5; 8]; 3] };
        let (mut one, mut other) = (stale(), stale());
        mark(text, &mut one);
        scalar::mark(text, &mut other);
        assert_eq!((one.special, one.stop), (other.special, other.stop));
    }

    /// Long enough for the wide form, with the byte in every place.
    #[test]
    fn long_searches_agree_with_their_scalar_twin() {
        for place in 0..300 {
            let mut text = vec![b'x'; 300];
            text[place] = if place % 2 == 0 { b'%' } else { b'&' };
            for at in (0..=300).step_by(7) {
                assert_eq!(find_either(&text, at, b'%', b'&'), scalar::find_either(&text, at, b'%', b'&'));
            }
        }
    }

    /// Texts of every length from every place, the vector's width and more, with every byte value in every place of a
    /// vector: both stop at the same character and have written the same bytes.
    #[test]
    fn base64_agrees_with_its_scalar_twin() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text: Vec<u8> = (0..150_usize).map(|index| alphabet[index * index * 7 % 64]).collect();
        for length in 0..text.len() {
            for from in 0..length.min(40) {
                compare_base64(&text[..length], from, 200);
            }
        }
        for place in 0..70 {
            for byte in 0..=255_u8 {
                let mut disturbed = text[..70].to_vec();
                disturbed[place] = byte;
                compare_base64(&disturbed, 0, 200);
            }
        }
        for room in 0..120 {
            compare_base64(&text, 3, room);
        }
    }

    fn compare_base64(source: &[u8], from: usize, room: usize) {
        const TO: usize = 5;
        let (mut one, mut other) = (vec![0xA5; TO + room], vec![0xA5; TO + room]);
        let (read, written) = decode_base64(source, from, &mut one, TO);
        assert_eq!((read, written), scalar::decode_base64(source, from, &mut other, TO));
        assert_eq!(one[..written], other[..written]);
        assert!(from <= read && read <= source.len() && written <= TO + room);
    }
}
