//! The searches and the base64 of `scalar.rs` with vector instructions; the one file with `unsafe` code.
//!
//! Why it is sound: every vector load and store is preceded by a check that its 16 (32, 64) bytes lie inside the slice, or
//! touches only those that do; and functions that need more than the processor's baseline are entered only after its
//! features were asked for.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod x86 {
    use crate::scalar::{self, ALL, BLOCK, Masks};
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm_clmulepi64_si128, _mm_cmpeq_epi8, _mm_crc32_u8, _mm_crc32_u64,
        _mm_cvtsi32_si128, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_storeu_si128, _mm_xor_si128, _mm256_add_epi8, _mm256_and_si256,
        _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_cmpgt_epi32, _mm256_loadu_si256,
        _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_maskload_epi32, _mm256_min_epu8,
        _mm256_movemask_epi8, _mm256_or_si256, _mm256_permutevar8x32_epi32, _mm256_set1_epi8,
        _mm256_set1_epi32, _mm256_setr_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi32,
        _mm256_storeu_si256, _mm256_testz_si256, _mm512_broadcast_i32x4, _mm512_clmulepi64_epi128,
        _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512, _mm512_madd_epi16,
        _mm512_maddubs_epi16, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8, _mm512_movepi8_mask,
        _mm512_or_si512, _mm512_permutex2var_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8,
        _mm512_set1_epi32, _mm512_storeu_si512, _mm512_ternarylogic_epi64, _mm512_xor_si512,
        _mm512_zextsi128_si512,
    };

    const WIDTH: usize = 16;
    /// For the ternary logic instruction: a ^ b ^ c.
    const EITHER_OR_ALL: i32 = 0x96;

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

    /// VBMI came with the processors that do not slow down for vectors of 64 bytes.
    #[inline]
    fn has_avx512() -> bool {
        std::is_x86_feature_detected!("avx512vbmi") && std::is_x86_feature_detected!("avx512bw")
    }

    /// See [`scalar::mark`].
    #[inline]
    pub fn mark<const N: usize>(text: &[u8], masks: &mut Masks<N>) {
        if has_avx512() {
            // SAFETY: the feature is there.
            unsafe { mark_avx512(text, masks) }
        } else if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the feature is there.
            unsafe { mark_avx2(text, masks) }
        } else {
            scalar::mark(text, masks);
        }
    }

    /// What is missing from the last block is loaded as zeroes, which are control characters.
    #[target_feature(enable = "avx512bw")]
    pub(super) fn mark_avx512<const N: usize>(text: &[u8], masks: &mut Masks<N>) {
        for (index, (special, stop)) in masks.special.iter_mut().zip(&mut masks.stop).enumerate() {
            let Some(rest) = text.get(index * BLOCK..) else {
                (*special, *stop) = (ALL, ALL);
                return;
            };
            // SAFETY: no byte behind `rest` is touched.
            let bytes = unsafe { _mm512_maskz_loadu_epi8(first(rest.len()), rest.as_ptr().cast()) };
            let is = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8));
            let controls = _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20));
            let stops = is(b'"') | is(b'\\') | controls;
            *stop = stops.to_le_bytes();
            *special = (stops | _mm512_movepi8_mask(bytes)).to_le_bytes();
        }
    }

    /// Bits for the first `length` of 64 bytes.
    #[inline]
    fn first(length: usize) -> u64 {
        if length < BLOCK { (1 << length) - 1 } else { u64::MAX }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn mark_avx2<const N: usize>(text: &[u8], masks: &mut Masks<N>) {
        for (index, (special, stop)) in masks.special.iter_mut().zip(&mut masks.stop).enumerate() {
            let Some(rest) = text.get(index * BLOCK..) else {
                (*special, *stop) = (ALL, ALL);
                return;
            };
            (*special, *stop) = match (rest.first_chunk(), text.last_chunk()) {
                (Some(block), _) => mark_block_avx2(block),
                (None, Some(block)) => {
                    let (special, stop) = mark_block_avx2(block);
                    (keep_last(special, rest.len()), keep_last(stop, rest.len()))
                }
                (None, None) => mark_block_avx2(&scalar::last_block(rest)),
            };
        }
    }

    /// Of a block's marks the last `length`, which are fewer than 64, and behind them bits that are set. To look at bytes
    /// twice takes less time than to copy the last ones, which the processor then waits for.
    #[inline]
    fn keep_last(marks: [u8; 8], length: usize) -> [u8; 8] {
        let marks = u64::from_le_bytes(marks) >> 1 >> (BLOCK - 1 - length);
        (marks | u64::MAX << length).to_le_bytes()
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

    /// See [`scalar::skip_plain`].
    pub fn skip_plain<const HIGH: bool>(text: &[u8], at: usize) -> usize {
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the feature is there.
            unsafe { skip_plain_avx2::<HIGH>(text, at) }
        } else {
            scalar::skip_plain::<HIGH>(text, at)
        }
    }

    #[target_feature(enable = "avx2")]
    fn skip_plain_avx2<const HIGH: bool>(text: &[u8], mut at: usize) -> usize {
        let is = |bytes, byte: u8| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte as i8));
        // The highest bit of a byte that is marked is set.
        let marks = |half: &[u8; CHARACTERS]| {
            // SAFETY: there are CHARACTERS bytes; the load needs no alignment.
            let bytes = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
            let controls = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1F)), bytes);
            let stops = _mm256_or_si256(_mm256_or_si256(is(bytes, b'"'), is(bytes, b'\\')), controls);
            if HIGH { _mm256_or_si256(stops, bytes) } else { stops }
        };
        while let Some([first, second]) = text.get(at..).and_then(|rest| rest.as_chunks().0.first_chunk()) {
            if _mm256_movemask_epi8(_mm256_or_si256(marks(first), marks(second))) != 0 {
                break;
            }
            at += 2 * CHARACTERS;
        }
        at
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

    /// See [`scalar::find_either`]. Sixteen bytes are looked at in place: that is enough for most parameters.
    #[inline]
    pub fn find_either(text: &[u8], at: usize, one: u8, other: u8) -> usize {
        if let Some(chunk) = load(text, at) {
            // SAFETY: SSE2, as above.
            let found = unsafe { _mm_movemask_epi8(mark_either(chunk, one, other)) };
            if found != 0 {
                return at + found.trailing_zeros() as usize;
            }
        }
        find_either_far(text, at, one, other)
    }

    /// See [`scalar::part_ends`].
    #[inline]
    pub fn part_ends(text: &[u8], at: usize) -> u64 {
        if has_avx512() {
            // SAFETY: the feature is there.
            unsafe { part_ends_avx512(text, at) }
        } else {
            part_ends_sse2(text, at)
        }
    }

    /// What is left behind whole vectors is looked at with the sixteen bytes that end there.
    #[inline]
    pub(super) fn part_ends_sse2(text: &[u8], at: usize) -> u64 {
        let rest = text.get(at..).unwrap_or_default();
        let block = &rest[..rest.len().min(BLOCK)];
        let Some(last) = block.len().checked_sub(WIDTH) else { return scalar::part_ends(text, at) };
        let marks = |start: usize| {
            let chunk = load(block, start).map_or(0, |chunk| {
                // SAFETY: SSE2, as above.
                unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(chunk, splat(b'&'))) }
            });
            u64::from(chunk as u16) << start
        };
        let ends = (0..last).step_by(WIDTH).map(marks).fold(marks(last), |all, some| all | some);
        if rest.len() < BLOCK { ends | 1 << rest.len() } else { ends }
    }

    #[inline]
    #[target_feature(enable = "avx512bw")]
    pub(super) fn part_ends_avx512(text: &[u8], at: usize) -> u64 {
        let rest = text.get(at..).unwrap_or_default();
        // To load nothing from an address where nothing is takes the processor a hundred nanoseconds.
        if rest.is_empty() {
            return 1;
        }
        let is_text = first(rest.len());
        // SAFETY: no byte behind `rest` is touched.
        let bytes = unsafe { _mm512_maskz_loadu_epi8(is_text, rest.as_ptr().cast()) };
        let ends = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'&' as i8));
        // The bit behind the last one of the text; none when it goes on.
        ends | is_text.wrapping_add(1)
    }

    #[inline(always)]
    fn mark_either(chunk: __m128i, one: u8, other: u8) -> __m128i {
        // SAFETY: SSE2, as above.
        unsafe { _mm_or_si128(_mm_cmpeq_epi8(chunk, splat(one)), _mm_cmpeq_epi8(chunk, splat(other))) }
    }

    #[inline(never)]
    fn find_either_far(text: &[u8], at: usize, one: u8, other: u8) -> usize {
        const LONG: usize = 128;
        if text.len() >= at.saturating_add(LONG) && std::is_x86_feature_detected!("avx2") {
            // SAFETY: the feature is there.
            return unsafe { find_either_avx2(text, at, one, other) };
        }
        find_either_sse2(text, at, one, other)
    }

    /// Two vectors a turn; what is left behind the last ones is the other function's.
    #[target_feature(enable = "avx2")]
    fn find_either_avx2(text: &[u8], mut at: usize, one: u8, other: u8) -> usize {
        let (ones, others) = (_mm256_set1_epi8(one as i8), _mm256_set1_epi8(other as i8));
        let marks = |half: &[u8; CHARACTERS]| {
            // SAFETY: there are CHARACTERS bytes; the load needs no alignment.
            let bytes = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
            _mm256_or_si256(_mm256_cmpeq_epi8(bytes, ones), _mm256_cmpeq_epi8(bytes, others))
        };
        while let Some([first, second]) = text.get(at..).and_then(|rest| rest.as_chunks().0.first_chunk()) {
            let (low, high) = (marks(first), marks(second));
            if _mm256_movemask_epi8(_mm256_or_si256(low, high)) != 0 {
                let [low, high] = [low, high].map(|marks| u64::from(_mm256_movemask_epi8(marks) as u32));
                return at + (low | high << CHARACTERS).trailing_zeros() as usize;
            }
            at += 2 * CHARACTERS;
        }
        find_either_sse2(text, at, one, other)
    }

    #[inline(always)]
    fn find_either_sse2(text: &[u8], at: usize, one: u8, other: u8) -> usize {
        let marks = |chunk| mark_either(chunk, one, other);
        find(text, at, marks, |text, at| scalar::find_either(text, at, one, other))
    }

    /// Characters that one vector decodes at a time.
    const CHARACTERS: usize = 32;
    /// Bytes that come out of them.
    const DECODED: usize = CHARACTERS / 4 * 3;
    const LOW: [u8; WIDTH] =
        [0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1A, 0x1B, 0x1B, 0x1B, 0x1A];
    const HIGH: [u8; WIDTH] =
        [0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10];
    /// What is added to a character, by its upper half; `/` has a place of its own.
    const ROLL: [i8; WIDTH] = [0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0];
    /// What the last four places hold is never read. Were they zeroes, the compiler would know and take pains to keep them.
    const PACK: [u8; WIDTH] = [2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 3, 7, 11, 15];

    /// See [`scalar::decode_base64`].
    #[inline]
    pub fn decode_base64(source: &[u8], from: usize, target: &mut [u8], to: usize) -> (usize, usize) {
        if has_avx512() {
            // SAFETY: the features are there.
            unsafe { decode_base64_avx512(source, from, target, to) }
        } else if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the feature is there.
            unsafe { decode_base64_avx2(source, from, target, to) }
        } else {
            scalar::decode_base64(source, from, target, to)
        }
    }

    /// By character what it stands for, and 80 (hex) for others.
    const SEXTETS: [u8; 2 * BLOCK] = {
        let mut table = [0x80; 2 * BLOCK];
        let mut byte = 0;
        while byte < table.len() {
            let sextet = scalar::sextet(byte as u8);
            if sextet < 64 {
                table[byte] = sextet;
            }
            byte += 1;
        }
        table
    };
    /// Of 16 groups of four bytes, the highest one of which is empty, where those stand that come out.
    const PACK_GROUPS: [u8; BLOCK] = {
        let mut places = [0; BLOCK];
        let mut place = 0;
        while place < BLOCK / 4 * 3 {
            places[place] = (place / 3 * 4 + 2 - place % 3) as u8;
            place += 1;
        }
        places
    };

    /// After Muła and Lemire, "Base64 encoding and decoding at almost the speed of a memory copy" (2019): 64 characters at a
    /// time, each looked up in one table of all of them.
    #[target_feature(enable = "avx512bw,avx512vbmi")]
    pub(super) fn decode_base64_avx512(
        source: &[u8],
        mut from: usize,
        target: &mut [u8],
        mut to: usize,
    ) -> (usize, usize) {
        // SAFETY: all three parts of arrays have 64 bytes.
        let [low, high, places] = [&SEXTETS[..BLOCK], &SEXTETS[BLOCK..], &PACK_GROUPS]
            .map(|bytes| unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) });
        let decode = |text: __m512i| {
            let sextets = _mm512_permutex2var_epi8(low, text, high);
            let bad = _mm512_movepi8_mask(_mm512_or_si512(sextets, text));
            let pairs = _mm512_maddubs_epi16(sextets, _mm512_set1_epi32(0x0140_0140));
            let groups = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x0001_1000));
            (_mm512_permutexvar_epi8(places, groups), bad)
        };
        loop {
            let (Some(text), Some(room)) = (source.get(from..), target.get_mut(to..)) else {
                return (from, to);
            };
            // SAFETY: no byte behind `text` is touched.
            let (bytes, bad) = decode(match text.first_chunk::<BLOCK>() {
                Some(block) => unsafe { _mm512_loadu_si512(block.as_ptr().cast()) },
                None => unsafe { _mm512_maskz_loadu_epi8(first(text.len()), text.as_ptr().cast()) },
            });
            let groups = if let Some(room) = room.first_chunk_mut::<BLOCK>() {
                // SAFETY: there is room for all; what is behind the groups that count is written over, or room still.
                unsafe { _mm512_storeu_si512(room.as_mut_ptr().cast(), bytes) };
                // The usual case apart: the next load must not wait for this one's result.
                if bad == 0 {
                    (from, to) = (from + BLOCK, to + BLOCK / 4 * 3);
                    continue;
                }
                bad.trailing_zeros() as usize / 4
            } else {
                let groups = (bad.trailing_zeros() as usize / 4).min(room.len() / 3);
                // SAFETY: no byte behind `room` is touched: the groups are as many as it has room for.
                unsafe { _mm512_mask_storeu_epi8(room.as_mut_ptr().cast(), first(groups * 3), bytes) };
                groups
            };
            (from, to) = (from + groups * 4, to + groups * 3);
            if groups < BLOCK / 4 {
                return (from, to);
            }
        }
    }

    /// Decodes vectors of 32 characters; of one that holds something else, and of the text's end, what stands before.
    #[target_feature(enable = "avx2")]
    pub(super) fn decode_base64_avx2(
        source: &[u8],
        mut from: usize,
        target: &mut [u8],
        mut to: usize,
    ) -> (usize, usize) {
        let source_vectors = source.len().saturating_sub(from) / CHARACTERS;
        let target_vectors = target.len().saturating_sub(to + CHARACTERS - DECODED) / DECODED;
        for _ in 0..source_vectors.min(target_vectors) {
            // SAFETY: counted above: CHARACTERS bytes follow `from` in the source. The load needs no alignment.
            let text = unsafe { _mm256_loadu_si256(source.as_ptr().add(from).cast()) };
            let decoded = decode_vector(text);
            // SAFETY: counted above: CHARACTERS bytes follow `to` in the target. The next turn writes over the last eight.
            unsafe { _mm256_storeu_si256(target.as_mut_ptr().add(to).cast(), decoded.bytes) };
            // The usual case apart: the next load must not wait for this one's result.
            if _mm256_testz_si256(decoded.upper, decoded.lower) == 0 {
                let groups = decoded.good_characters() / 4;
                return (from + groups * 4, to + groups * 3);
            }
            (from, to) = (from + CHARACTERS, to + DECODED);
        }
        decode_last(source, from, target, to)
    }

    /// Less than a vector, or as much as the target has room for.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn decode_last(source: &[u8], from: usize, target: &mut [u8], to: usize) -> (usize, usize) {
        let rest = source.get(from..).unwrap_or_default();
        let out = target.get_mut(to..).and_then(<[u8]>::first_chunk_mut::<CHARACTERS>);
        let (Some(out), true) = (out, rest.len() < CHARACTERS) else {
            return scalar::decode_base64(source, from, target, to);
        };
        let places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let whole = _mm256_cmpgt_epi32(_mm256_set1_epi32((rest.len() / 4) as i32), places);
        // SAFETY: of the groups of four only those that are whole are loaded; the others become zeroes, which are not in the
        // alphabet. `out` has CHARACTERS bytes; the store needs no alignment.
        let decoded = unsafe { decode_vector(_mm256_maskload_epi32(rest.as_ptr().cast(), whole)) };
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), decoded.bytes) };
        let groups = decoded.good_characters() / 4;
        (from + groups * 4, to + groups * 3)
    }

    /// What became of 32 characters.
    struct Decoded {
        /// [`DECODED`] bytes in front.
        bytes: __m256i,
        /// What two lookups by the halves of each character gave: they have a bit in common only where it is outside the
        /// alphabet.
        upper: __m256i,
        lower: __m256i,
    }

    impl Decoded {
        /// Characters in front of the first one outside the alphabet.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn good_characters(&self) -> usize {
            let common = _mm256_and_si256(self.upper, self.lower);
            let good = _mm256_movemask_epi8(_mm256_cmpeq_epi8(common, _mm256_setzero_si256()));
            good.trailing_ones() as usize
        }
    }

    /// After Wojciech Muła: beside the two lookups that find what is outside the alphabet, a third one says what to add
    /// to a character.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn decode_vector(text: __m256i) -> Decoded {
        let table = |bytes: [u8; WIDTH]| {
            // SAFETY: the array has WIDTH bytes.
            _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
        };
        let halves = _mm256_set1_epi8(0x2F);
        let above = _mm256_and_si256(_mm256_srli_epi32::<4>(text), halves);
        let upper = _mm256_shuffle_epi8(table(HIGH), above);
        let lower = _mm256_shuffle_epi8(table(LOW), _mm256_and_si256(text, halves));
        let place = _mm256_add_epi8(_mm256_cmpeq_epi8(text, halves), above);
        let sextets = _mm256_add_epi8(text, _mm256_shuffle_epi8(table(ROLL.map(i8::cast_unsigned)), place));
        let pairs = _mm256_maddubs_epi16(sextets, _mm256_set1_epi32(0x0140_0140));
        let groups = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x0001_1000));
        let packed = _mm256_shuffle_epi8(groups, table(PACK));
        let bytes = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
        Decoded { bytes, upper, lower }
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

    /// Sixteen bytes that leave the same remainder as all whole vectors of the bytes, and what follows those.
    type Folded<'a> = (Option<[u8; WIDTH]>, &'a [u8]);

    /// For CRC-32: `crc` is the state before, and 0 the one before what is folded. Fewer than four vectors are left as they
    /// are; `None` where the processor cannot.
    pub fn fold_crc32(bytes: &[u8], crc: u32) -> Option<Folded<'_>> {
        let has_wide = std::is_x86_feature_detected!("vpclmulqdq") && has_avx512();
        if !has_wide || !std::is_x86_feature_detected!("pclmulqdq") {
            return fold_crc32_narrow(bytes, crc);
        }
        let (blocks, rest) = bytes.as_chunks();
        let Some((first, more)) = blocks.split_first_chunk() else { return fold_crc32_narrow(bytes, crc) };
        // SAFETY: the features are there.
        let folded = unsafe { fold_crc32_vpclmulqdq(*first, more, crc) };
        let (vectors, rest) = rest.as_chunks();
        // SAFETY: as above.
        Some((Some(unsafe { fold_crc32_pclmulqdq(folded, vectors, 0) }), rest))
    }

    /// The same for processors without AVX-512.
    pub fn fold_crc32_narrow(bytes: &[u8], crc: u32) -> Option<Folded<'_>> {
        if !std::is_x86_feature_detected!("pclmulqdq") {
            return None;
        }
        let (vectors, rest) = bytes.as_chunks();
        Some(match vectors.split_first_chunk() {
            // SAFETY: the feature is there.
            Some((first, more)) => (Some(unsafe { fold_crc32_pclmulqdq(*first, more, crc) }), rest),
            None => (None, bytes),
        })
    }

    /// Four vectors at a time, each onto the one before it at its place; in the end onto one another. Inlined, or the
    /// closures would be compiled apart from the instructions that they may use.
    #[inline(always)]
    fn fold_lanes<B, V: Copy>(
        mut lanes: [V; 4],
        more: &[B],
        load: impl Fn(&B) -> V,
        far: impl Fn(V, V) -> V,
        near: impl Fn(V, V) -> V,
    ) -> V {
        let (steps, last) = more.as_chunks::<4>();
        for step in steps {
            for (lane, bytes) in lanes.iter_mut().zip(step) {
                *lane = far(*lane, load(bytes));
            }
        }
        let [sum, lanes @ ..] = lanes;
        let sum = lanes.into_iter().fold(sum, &near);
        last.iter().fold(sum, |sum, bytes| near(sum, load(bytes)))
    }

    /// After Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (2009). Bytes that
    /// are d bits ahead are multiplied by x^d modulo the polynomial, which leaves the remainder as it is: the constants
    /// are x^(d+32) and x^(d-32) for d = 512 and 128, with their bits reversed.
    #[target_feature(enable = "pclmulqdq")]
    fn fold_crc32_pclmulqdq(first: [[u8; WIDTH]; 4], more: &[[u8; WIDTH]], crc: u32) -> [u8; WIDTH] {
        let vector = |bytes: &[u8; WIDTH]| {
            // SAFETY: the array has WIDTH bytes; the load needs no alignment.
            unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
        };
        let fold = |sum, by, next| {
            let (low, high) = (_mm_clmulepi64_si128::<0x00>(sum, by), _mm_clmulepi64_si128::<0x11>(sum, by));
            _mm_xor_si128(_mm_xor_si128(low, high), next)
        };
        let by_64_bytes = _mm_set_epi64x(0x1_C6E4_1596, 0x1_5444_2BD4);
        let by_16_bytes = _mm_set_epi64x(0x0_CCAA_009E, 0x1_7519_97D0);
        let mut lanes = first.map(|bytes| vector(&bytes));
        lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(crc.cast_signed()));
        let far = |sum, next| fold(sum, by_64_bytes, next);
        let sum = fold_lanes(lanes, more, vector, far, |sum, next| fold(sum, by_16_bytes, next));
        let mut folded = [0; WIDTH];
        // SAFETY: the array has WIDTH bytes; the store needs no alignment.
        unsafe { _mm_storeu_si128(folded.as_mut_ptr().cast(), sum) };
        folded
    }

    /// The same with vectors of four times the width, for d = 2048 and 512; what is left are four vectors of the other.
    #[target_feature(enable = "vpclmulqdq,avx512f")]
    fn fold_crc32_vpclmulqdq(first: [[u8; BLOCK]; 4], more: &[[u8; BLOCK]], crc: u32) -> [[u8; WIDTH]; 4] {
        let vector = |bytes: &[u8; BLOCK]| {
            // SAFETY: the array has BLOCK bytes; the load needs no alignment.
            unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
        };
        let fold = |sum, by, next| {
            let (low, high) =
                (_mm512_clmulepi64_epi128::<0x00>(sum, by), _mm512_clmulepi64_epi128::<0x11>(sum, by));
            _mm512_ternarylogic_epi64::<EITHER_OR_ALL>(low, high, next)
        };
        let by_256_bytes = _mm512_broadcast_i32x4(_mm_set_epi64x(0x1_322D_1430, 0x1_1542_778A));
        let by_64_bytes = _mm512_broadcast_i32x4(_mm_set_epi64x(0x1_C6E4_1596, 0x1_5444_2BD4));
        let mut lanes = first.map(|bytes| vector(&bytes));
        let crc = _mm512_zextsi128_si512(_mm_cvtsi32_si128(crc.cast_signed()));
        lanes[0] = _mm512_xor_si512(lanes[0], crc);
        let far = |sum, next| fold(sum, by_256_bytes, next);
        let sum = fold_lanes(lanes, more, vector, far, |sum, next| fold(sum, by_64_bytes, next));
        let mut folded = [[0; WIDTH]; 4];
        // SAFETY: the array has four times WIDTH bytes; the store needs no alignment.
        unsafe { _mm512_storeu_si512(folded.as_mut_ptr().cast(), sum) };
        folded
    }
}

pub use crate::scalar::Masks;

#[cfg(all(test, target_arch = "x86_64"))]
pub use x86::fold_crc32_narrow;
#[cfg(target_arch = "x86_64")]
pub use x86::{crc32c, decode_base64, find_either, find_stop, fold_crc32, mark, part_ends, skip_plain};

#[cfg(not(target_arch = "x86_64"))]
pub use crate::scalar::{decode_base64, find_either, find_stop, mark, part_ends, skip_plain};

/// There is no instruction for it that this file knows.
#[cfg(not(target_arch = "x86_64"))]
pub fn crc32c(_bytes: &[u8], _seed: u32) -> Option<u32> {
    None
}

#[cfg(all(test, not(target_arch = "x86_64")))]
pub use fold_crc32 as fold_crc32_narrow;

/// There is no instruction for it that this file knows.
#[cfg(not(target_arch = "x86_64"))]
pub fn fold_crc32(_bytes: &[u8], _crc: u32) -> Option<(Option<[u8; 16]>, &[u8])> {
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

    /// Every byte value in every place of two blocks and what is behind them.
    #[test]
    fn skipping_agrees_with_its_scalar_twin() {
        for length in [0, 1, 63, 64, 65, 127, 128, 129, 150] {
            for place in 0..length {
                for byte in 0..=255_u8 {
                    let mut text = vec![b'x'; length];
                    text[place] = byte;
                    for at in [0, 1, 5, place] {
                        assert_eq!(skip_plain::<true>(&text, at), scalar::skip_plain::<true>(&text, at));
                        assert_eq!(skip_plain::<false>(&text, at), scalar::skip_plain::<false>(&text, at));
                    }
                }
            }
        }
        assert_eq!(scalar::skip_plain::<true>(&[b'x'; 200], 3), 195);
        assert_eq!(scalar::skip_plain::<true>(&[0x80; 64], 0), 0);
        assert_eq!(scalar::skip_plain::<false>(&[0x80; 64], 0), 64);
    }

    type Mark = fn(&[u8], &mut Masks<3>);
    type Decode = fn(&[u8], usize, &mut [u8], usize) -> (usize, usize);

    /// What is chosen, and everything else that this processor can.
    fn marks() -> Vec<Mark> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "there is no other one"))]
        let mut all: Vec<Mark> = vec![mark];
        #[cfg(target_arch = "x86_64")]
        {
            if std::is_x86_feature_detected!("avx2") {
                // SAFETY: the feature is there.
                all.push(|text, masks| unsafe { x86::mark_avx2(text, masks) });
            }
            if std::is_x86_feature_detected!("avx512bw") {
                // SAFETY: the feature is there.
                all.push(|text, masks| unsafe { x86::mark_avx512(text, masks) });
            }
        }
        all
    }

    fn decodes() -> Vec<Decode> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "there is no other one"))]
        let mut all: Vec<Decode> = vec![decode_base64];
        #[cfg(target_arch = "x86_64")]
        {
            if std::is_x86_feature_detected!("avx2") {
                // SAFETY: the feature is there.
                all.push(|source, from, target, to| unsafe {
                    x86::decode_base64_avx2(source, from, target, to)
                });
            }
            if std::is_x86_feature_detected!("avx512vbmi") && std::is_x86_feature_detected!("avx512bw") {
                // SAFETY: the features are there.
                all.push(|source, from, target, to| unsafe {
                    x86::decode_base64_avx512(source, from, target, to)
                });
            }
        }
        all
    }

    /// Stale bits of another text must not matter.
    fn compare_masks(text: &[u8]) {
        let stale = || Masks::<3> { special: [[0x5A; 8]; 3], stop: [[0xA5; 8]; 3] };
        let mut expected = stale();
        scalar::mark(text, &mut expected);
        for mark in marks() {
            let mut masks = stale();
            mark(text, &mut masks);
            assert_eq!((masks.special, masks.stop), (expected.special, expected.stop));
        }
    }

    /// Every byte value in every place of a block and of what is behind it.
    #[test]
    fn parts_end_where_a_byte_by_byte_look_finds_it() {
        for length in [0, 1, 7, 8, 9, 30, 63, 64, 65, 100] {
            for place in 0..length.max(1) {
                for byte in (0..=255_u8).filter(|&byte| byte % 8 == 6 || byte > 0x7F) {
                    let mut text = vec![b'x'; length];
                    if let Some(one) = text.get_mut(place) {
                        *one = byte;
                    }
                    for at in [0, 1, length / 2, length, length + 1] {
                        let ends = (at..(at + scalar::BLOCK).min(length + 1))
                            .filter(|&index| text.get(index).is_none_or(|&byte| byte == b'&'))
                            .fold(0_u64, |ends, index| ends | 1 << (index - at));
                        let expected = if at > length { 1 } else { ends };
                        assert_eq!(part_ends(&text, at), expected, "{byte} at {place} of {length}, {at}");
                        assert_eq!(scalar::part_ends(&text, at), expected);
                        #[cfg(target_arch = "x86_64")]
                        assert_eq!(x86::part_ends_sse2(&text, at), expected);
                    }
                }
            }
        }
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
        const UNTOUCHED: [u8; 40] = [0x5A; 40];
        let mut other = vec![0xA5; TO + room];
        let expected = scalar::decode_base64(source, from, &mut other, TO);
        for decode in decodes() {
            let mut one = vec![0x5A; TO + room + UNTOUCHED.len()];
            let (read, written) = decode(source, from, &mut one[..TO + room], TO);
            assert_eq!((read, written), expected);
            assert_eq!(one[TO..written], other[TO..written]);
            assert_eq!((&one[..TO], &one[TO + room..]), (&UNTOUCHED[..TO], &UNTOUCHED[..]));
            assert!(from <= read && read <= source.len() && written <= TO + room);
        }
    }
}
