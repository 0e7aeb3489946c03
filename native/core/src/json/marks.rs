//! Where strings end: bit masks of the text, made 64 bytes at a time for a window that moves along with the scanner.
//!
//! One pass over a few kilobytes finds every quote, backslash, control character and byte from 80 (hex) on; the scanner
//! then finds the first one behind a quote with a load and a shift, without a loop whose turns nobody can predict.

use crate::simd;

/// Blocks of 64 bytes that a window has: 4 KiB of text.
const BLOCKS: usize = 64;
const WINDOW_BYTES: usize = BLOCKS * 64;
/// What eight bytes of a mask show, wherever in the first one the look begins.
const LOOK_BYTES: usize = 64 - 7;
/// No text is so long: every index seen from here lies far beyond the window.
const NOWHERE: usize = 1 << (usize::BITS - 1);

/// Which bytes end a string or need a look; see [`crate::scalar::Masks`].
#[derive(Clone, Copy)]
enum Kind {
    Special,
    Stop,
}

/// The window. It belongs to one text until [`Marks::forget`].
pub struct Marks {
    /// Index of its first byte in the text.
    start: usize,
    /// Behind the text's end all bits are set; the last block is there to look ahead into.
    masks: simd::Masks<{ BLOCKS + 1 }>,
}

impl Default for Marks {
    fn default() -> Self {
        Self { start: NOWHERE, masks: simd::Masks::NONE }
    }
}

impl Marks {
    /// Another text comes.
    pub fn forget(&mut self) {
        self.start = NOWHERE;
    }

    /// The first quote, backslash, control character or byte from 80 (hex) on at or behind `at`, which is in the text or
    /// its end; else the text's end.
    #[inline(always)]
    pub fn special(&mut self, text: &[u8], at: usize) -> usize {
        self.find(text, at, Kind::Special)
    }

    /// The first quote, backslash or control character; else the text's end.
    #[inline(always)]
    pub fn stop(&mut self, text: &[u8], at: usize) -> usize {
        self.find(text, at, Kind::Stop)
    }

    #[inline(always)]
    fn find(&mut self, text: &[u8], at: usize, kind: Kind) -> usize {
        match self.look(at, kind) {
            Some(found) if found != 0 => at + found.trailing_zeros() as usize,
            _ => self.find_far(text, at, kind),
        }
    }

    /// Bits of the [`LOOK_BYTES`] (or a few more) bytes from `at` on; `None` when they do not lie in the window.
    #[inline(always)]
    fn look(&self, at: usize, kind: Kind) -> Option<u64> {
        let masks = match kind {
            Kind::Special => &self.masks.special,
            Kind::Stop => &self.masks.stop,
        };
        let offset = at.wrapping_sub(self.start);
        if offset >= WINDOW_BYTES {
            return None;
        }
        let eight = masks.as_flattened()[offset / 8..].first_chunk()?;
        Some(u64::from_le_bytes(*eight) >> (offset % 8))
    }

    /// Beyond what one look shows, or beyond the window. Of a string that is longer than a window the rest is not marked
    /// but only looked through: that takes half the time.
    #[inline(never)]
    fn find_far(&mut self, text: &[u8], from: usize, kind: Kind) -> usize {
        let mut at = from;
        loop {
            match self.look(at, kind) {
                Some(0) => at += LOOK_BYTES,
                Some(found) => return at + found.trailing_zeros() as usize,
                None => {
                    if at - from >= WINDOW_BYTES {
                        at = match kind {
                            Kind::Special => simd::skip_plain::<true>(text, at),
                            Kind::Stop => simd::skip_plain::<false>(text, at),
                        };
                    }
                    self.start = at;
                    simd::mark(&text[at..], &mut self.masks);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts shorter, as long as and longer than a block and a window, asked forward and from everywhere.
    #[test]
    fn what_is_found_is_what_a_byte_by_byte_look_finds() {
        let window = WINDOW_BYTES;
        for length in [0, 1, 63, 64, 65, 127, 128, 200, window - 1, window, window + 1, 3 * window + 70] {
            let mut text = vec![b'x'; length];
            for (turn, &byte) in b"\"\\\x1F\x80\"\x00\xFF\"".iter().cycle().take(length / 90).enumerate() {
                text[turn * turn * 37 % length] = byte;
            }
            let mut marks = Marks::default();
            for at in (0..=length).step_by(7).chain([length, 0, length / 2]) {
                let find = |stops: fn(u8) -> bool| {
                    text[at..].iter().position(|&byte| stops(byte)).map_or(length, |index| at + index)
                };
                let is_stop = |byte: u8| byte == b'"' || byte == b'\\' || byte < 0x20;
                assert_eq!(marks.stop(&text, at), find(is_stop), "stop at {at} of {length}");
                let special = find(|byte| byte == b'"' || byte == b'\\' || !(0x20..0x80).contains(&byte));
                assert_eq!(marks.special(&text, at), special, "special at {at} of {length}");
            }
        }
    }

    /// What stands alone, far behind the window in which the look began.
    #[test]
    fn the_end_of_a_long_string_is_found() {
        for place in (WINDOW_BYTES - 70..4 * WINDOW_BYTES).step_by(61) {
            for (byte, is_stop) in [(b'"', true), (b'\\', true), (0x1F, true), (0x80, false)] {
                let mut text = vec![b'x'; 5 * WINDOW_BYTES];
                text[place] = byte;
                for from in [0, 1, 77] {
                    let mut marks = Marks::default();
                    assert_eq!(marks.special(&text, from), place, "{byte} at {place}");
                    let stop = if is_stop { place } else { text.len() };
                    assert_eq!(marks.stop(&text, from), stop, "{byte} at {place}");
                    assert_eq!(marks.special(&text, place), place);
                }
            }
        }
    }

    #[test]
    fn a_forgotten_text_is_not_remembered() {
        let mut marks = Marks::default();
        assert_eq!(marks.special(b"ab\"", 0), 2);
        marks.forget();
        assert_eq!(marks.special(b"abcdef\"", 0), 6);
    }
}
