//! Base64 as clients send it, with every repair of docs/DECODING.md 2.

use super::percent;
use crate::scalar::{decode_groups, sextet};
use crate::simd;

/// Decodes the candidate at the start of `raw`, as it stands in body, form or query, into the start of `target`:
/// percent-decoding (if `escaped`), repairs and base64 in one go. Returns the bytes decoded and the candidate's length:
/// it ends where `raw` does, an escaped one in front of `&`. `None` when it needs the long way: faults and everything
/// unusual.
///
/// `target` is at least as long as `raw`.
pub fn decode_quickly(raw: &[u8], escaped: bool, target: &mut [u8]) -> Option<(usize, usize)> {
    let (mut from, mut to) = (0, 0);
    // A plus at either end may be a blank that has to be trimmed (in a form it is a space): the long way.
    if !raw.first().is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'/') {
        return None;
    }
    loop {
        let start = from;
        (from, to) = simd::decode_base64(raw, from, target, to);
        let mut group = Group { last: if from > start { raw[from - 1] } else { b'A' }, ..Group::default() };
        from = group.fill(raw, from, escaped)?;
        let length = group.characters.saturating_sub(1);
        // One by one: for three bytes at most a call of `memcpy` is too much.
        for (place, byte) in target[to..].iter_mut().zip(group.bits.to_be_bytes()[1..].iter().take(length)) {
            *place = *byte;
        }
        to += length;
        if is_end(raw, from, escaped) {
            return (group.characters != 1 && group.last != b'+' && to > 0).then_some((to, from));
        }
    }
}

/// The candidate ends in front of `at`.
fn is_end(raw: &[u8], at: usize, escaped: bool) -> bool {
    match raw.get(at) {
        None => true,
        Some(byte) => escaped && *byte == b'&',
    }
}

/// Four characters with what disturbs the quick loop among them.
#[derive(Default)]
struct Group {
    /// Six bits a character, from bit 23 on.
    bits: u32,
    characters: usize,
    /// The last character seen.
    last: u8,
}

impl Group {
    /// Takes characters from `raw[from..]` until there are four or the candidate ends; returns the index behind them.
    fn fill(&mut self, raw: &[u8], mut from: usize, escaped: bool) -> Option<usize> {
        while self.characters < 4 && !is_end(raw, from, escaped) {
            let plain = sextet(raw[from]);
            if plain < 64 {
                self.take(plain, raw[from]);
                from += 1;
                continue;
            }
            let (byte, length) = read_byte(&raw[from..], escaped);
            from += length;
            match byte {
                b'\r' | b'\n' | b'\t' => continue,
                b'=' => return padding_end(raw, from, escaped),
                _ => {}
            }
            let sextet = repaired(byte);
            if sextet > 63 {
                return None;
            }
            self.take(sextet, if sextet == 62 { b'+' } else { byte });
        }
        Some(from)
    }

    #[inline]
    fn take(&mut self, sextet: u8, byte: u8) {
        self.bits |= u32::from(sextet) << (18 - 6 * self.characters);
        self.characters += 1;
        self.last = byte;
    }
}

/// The first byte of `raw`, which is not empty, and how many bytes it takes.
fn read_byte(raw: &[u8], escaped: bool) -> (u8, usize) {
    match percent::escaped_byte(raw) {
        Some(byte) if escaped => (byte, 3),
        _ => (raw[0], 1),
    }
}

/// Where the candidate ends, if nothing but `=`, CR, LF and TAB stands before.
fn padding_end(raw: &[u8], mut at: usize, escaped: bool) -> Option<usize> {
    while !is_end(raw, at, escaped) {
        let (byte, length) = read_byte(&raw[at..], escaped);
        if !matches!(byte, b'=' | b'\r' | b'\n' | b'\t') {
            return None;
        }
        at += length;
    }
    Some(at)
}

/// Index of the first byte of a trimmed candidate that is not in the alphabet, or its length when the number of
/// characters cannot be right. `None`: it can be decoded.
pub fn find_fault(candidate: &[u8]) -> Option<usize> {
    let mut characters = 0;
    let mut padding = 0;
    for (index, &byte) in candidate.iter().enumerate() {
        match byte {
            b'\r' | b'\n' | b'\t' => {}
            b'=' => padding += 1,
            _ if padding > 0 => return candidate.iter().position(|&byte| byte == b'='),
            _ if repaired(byte) < 64 => characters += 1,
            _ => return Some(index),
        }
    }
    (characters % 4 == 1).then_some(candidate.len())
}

/// Decodes `buffer[start..end]`, a candidate without fault, to the buffer's start; returns the bytes decoded.
pub fn decode_in_place(buffer: &mut [u8], start: usize, end: usize) -> usize {
    let mut to = 0;
    for from in start..end {
        let character = match buffer[from] {
            b'\r' | b'\n' | b'\t' | b'=' => continue,
            b' ' | b'-' => b'+',
            b'_' => b'/',
            byte => byte,
        };
        buffer[to] = character;
        to += 1;
    }
    finish(buffer, to)
}

fn repaired(byte: u8) -> u8 {
    match byte {
        b' ' | b'-' => 62,
        b'_' => 63,
        _ => sextet(byte),
    }
}

/// Decodes `characters` characters of the alphabet in place; their number mod 4 is not 1.
fn finish(buffer: &mut [u8], characters: usize) -> usize {
    let whole = characters / 4 * 4;
    let rest =
        [whole, whole + 1, whole + 2].map(|index| if index < characters { sextet(buffer[index]) } else { 0 });
    let length = decode_groups(buffer, whole);
    let bytes = [rest[0] << 2 | rest[1] >> 4, rest[1] << 4 | rest[2] >> 2];
    let more = (characters % 4).saturating_sub(1);
    buffer[length..length + more].copy_from_slice(&bytes[..more]);
    length + more
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The long way gives the same, so that only this shows whether the quick one was gone.
    #[test]
    fn an_escaped_candidate_ends_in_front_of_an_ampersand() {
        let text = "WyI/Pz4".repeat(12);
        for (end, length) in [("", 84), ("=", 85), ("%3D", 87), ("%3D%0A%3d", 93), ("\r\n", 86)] {
            let alone = format!("{text}{end}");
            let followed = format!("{alone}&verbose=1");
            let mut target = vec![0; followed.len()];
            assert_eq!(decode_quickly(alone.as_bytes(), true, &mut target), Some((63, length)), "{end}");
            assert_eq!(decode_quickly(followed.as_bytes(), true, &mut target), Some((63, length)), "{end}");
            assert_eq!(decode_quickly(followed.as_bytes(), false, &mut target), None);
        }
        assert_eq!(decode_quickly(b"&WyI", true, &mut [0; 4]), None);
        assert_eq!(decode_quickly(b"WyI%26", true, &mut [0; 6]), None);
    }
}
