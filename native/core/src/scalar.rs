//! Searches and base64 without vector instructions: what `simd.rs` is measured and checked against, and what runs where
//! there is no vector code for the processor. Eight bytes at a time where that pays.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks bytes that are equal to `byte`: exact up to the first mark.
pub fn equal(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * u64::from(byte));
    difference.wrapping_sub(ONES) & !difference & HIGHS
}

/// Marks bytes below 20 (hex): exact up to the first mark.
fn control(word: u64) -> u64 {
    word.wrapping_sub(ONES * 0x20) & !word & HIGHS
}

/// Index of the first byte at or behind `at` that `marks` marks, else the text's length.
fn find(text: &[u8], mut at: usize, marks: impl Fn(u64) -> u64) -> usize {
    while let Some(chunk) = text.get(at..at + 8) {
        let found = marks(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    // A byte that no search looks for fills the word up.
    let mut last = [b'A'; 8];
    last[..rest.len()].copy_from_slice(rest);
    let found = marks(u64::from_le_bytes(last));
    if found == 0 { text.len() } else { at + found.trailing_zeros() as usize / 8 }
}

/// The first quote, backslash or control character.
pub fn find_stop(text: &[u8], at: usize) -> usize {
    find(text, at, |word| equal(word, b'"') | equal(word, b'\\') | control(word))
}

/// Goes past whole blocks without a quote, a backslash or a control character, and with HIGH without a byte from 80 (hex)
/// on: the start of the first block that has one, or of what is less than a block.
pub fn skip_plain<const HIGH: bool>(text: &[u8], mut at: usize) -> usize {
    let is_marked = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\' || (HIGH && byte >= 0x80);
    while text.get(at..at + BLOCK).is_some_and(|block| !block.iter().any(is_marked)) {
        at += BLOCK;
    }
    at
}

/// Index of the first byte at or behind `at` that is no digit, else the text's length.
#[inline(always)]
pub fn digits_end(text: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk) {
        // Digits become 0 to 9; what is larger gets its highest bit: exact up to the first mark.
        let values = u64::from_le_bytes(*chunk) ^ (ONES * 0x30);
        let marks = (values.wrapping_add(ONES * 0x76) | values) & HIGHS;
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The first of two bytes.
pub fn find_either(text: &[u8], at: usize, one: u8, other: u8) -> usize {
    find(text, at, |word| equal(word, one) | equal(word, other))
}

/// Where parts end in the 64 bytes from `at` on, a bit a byte: at each `&`, and at the text's end.
#[inline]
pub fn part_ends(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    let block = &rest[..rest.len().min(BLOCK)];
    let ends = block.chunks(8).enumerate().fold(0, |ends, (index, bytes)| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        ends | gather(exactly(u64::from_le_bytes(word), b'&')) << (8 * index)
    });
    if rest.len() < BLOCK { ends | 1 << rest.len() } else { ends }
}

/// Marks bytes that are equal to `byte`, each of them exactly.
#[inline(always)]
fn exactly(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * u64::from(byte));
    !((difference & !HIGHS).wrapping_add(!HIGHS) | difference) & HIGHS
}

/// One bit a byte, for N blocks of 64 bytes; the first byte's bit is the lowest one of the first byte.
pub struct Masks<const N: usize> {
    /// Quotes, backslashes, control characters, and bytes from 80 (hex) on.
    pub special: [[u8; 8]; N],
    /// The same without the bytes from 80 on.
    pub stop: [[u8; 8]; N],
}

impl<const N: usize> Masks<N> {
    /// Nothing is marked.
    pub const NONE: Self = Self { special: [[0; 8]; N], stop: [[0; 8]; N] };
}

/// A block of which everything is marked.
pub const ALL: [u8; 8] = [0xFF; 8];

/// Bytes of a block.
pub const BLOCK: usize = u64::BITS as usize;

/// Marks the text's first N blocks. Behind its end every bit is set, up to the end of the block behind its last one.
pub fn mark<const N: usize>(text: &[u8], masks: &mut Masks<N>) {
    for (index, (special, stop)) in masks.special.iter_mut().zip(&mut masks.stop).enumerate() {
        let Some(rest) = text.get(index * BLOCK..) else {
            (*special, *stop) = (ALL, ALL);
            return;
        };
        (*special, *stop) = match rest.first_chunk() {
            Some(block) => mark_block(block),
            None => mark_block(&last_block(rest)),
        };
    }
}

/// Less than a block, filled up with quotes.
pub fn last_block(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [b'"'; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

fn mark_block(block: &[u8; BLOCK]) -> ([u8; 8], [u8; 8]) {
    let (mut high, mut stop) = (0, 0);
    for (index, bytes) in block.chunks_exact(8).enumerate() {
        let word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let controls = exactly(word & (ONES * 0xE0), 0);
        let stops = exactly(word, b'"') | exactly(word, b'\\') | controls;
        stop |= gather(stops) << (8 * index);
        high |= gather(word & HIGHS) << (8 * index);
    }
    ((stop | high).to_le_bytes(), stop.to_le_bytes())
}

/// The highest bits of eight bytes, side by side.
fn gather(highs: u64) -> u64 {
    (highs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// What a character of base64 stands for; 64 for others.
pub const fn sextet(byte: u8) -> u8 {
    SEXTETS[byte as usize]
}

const SEXTETS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [64; 256];
    let mut value = 0;
    while value < 64 {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// Decodes groups of four characters of `source[from..]` to `target[to..]`, up to the first group that is not whole or
/// holds anything outside the alphabet, or that the target has no room for. Returns the indices behind both.
pub fn decode_base64(source: &[u8], mut from: usize, target: &mut [u8], mut to: usize) -> (usize, usize) {
    while let (Some(group), Some(bytes)) = (source.get(from..from + 4), target.get_mut(to..to + 3)) {
        let sextets = [group[0], group[1], group[2], group[3]].map(sextet);
        if sextets.iter().any(|&value| value > 63) {
            break;
        }
        bytes.copy_from_slice(&join(sextets));
        (from, to) = (from + 4, to + 3);
    }
    (from, to)
}

/// Decodes `characters` characters of the alphabet, a multiple of four, in place; returns the bytes decoded.
pub fn decode_groups(buffer: &mut [u8], characters: usize) -> usize {
    for group in 0..characters / 4 {
        let (from, to) = (group * 4, group * 3);
        let bytes = join([0, 1, 2, 3].map(|index| sextet(buffer[from + index])));
        buffer[to..to + 3].copy_from_slice(&bytes);
    }
    characters / 4 * 3
}

#[inline(always)]
fn join(sextets: [u8; 4]) -> [u8; 3] {
    let [one, two, three, four] = sextets;
    [one << 2 | two >> 4, two << 4 | three >> 2, three << 6 | four]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_agree_with_a_byte_by_byte_look_at_every_position() {
        for special in 0..=255_u8 {
            for length in [1, 7, 8, 9, 17, 33] {
                for place in 0..length {
                    let mut text = vec![b'x'; length];
                    text[place] = special;
                    let expect = |wanted: bool| if wanted { place } else { length };
                    let stop = special < 0x20 || special == b'"' || special == b'\\';
                    assert_eq!(find_stop(&text, 0), expect(stop), "{special} at {place} of {length}");
                    let mut masks = Masks::<2>::NONE;
                    mark(&text, &mut masks);
                    let behind = u64::MAX << length;
                    let bit = |wanted: bool| behind | u64::from(wanted) << place;
                    let words = |bytes: [[u8; 8]; 2]| bytes.map(u64::from_le_bytes);
                    assert_eq!(words(masks.special), [bit(stop || special >= 0x80), u64::MAX]);
                    assert_eq!(words(masks.stop), [bit(stop), u64::MAX]);
                    assert_eq!(find_either(&text, 0, b'%', b'+'), expect(special == b'%' || special == b'+'));
                }
            }
        }
    }

    #[test]
    fn digits_end_where_a_byte_by_byte_look_ends() {
        for byte in 0..=255_u8 {
            for length in 0..20 {
                for place in 0..length {
                    let mut text = *b"01234567899876543210";
                    text[place] = byte;
                    let end = if byte.is_ascii_digit() { length } else { place };
                    assert_eq!(digits_end(&text[..length], 0), end);
                    assert_eq!(digits_end(&text[..length], length), length);
                }
            }
        }
    }

    #[test]
    fn a_search_from_behind_the_end_finds_the_end() {
        assert_eq!(find_stop(b"abc", 3), 3);
        assert_eq!(find_either(b"", 0, b'a', b'b'), 0);
    }
}
