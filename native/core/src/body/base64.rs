//! Base64 as clients send it, with every repair of docs/DECODING.md 2.

use super::percent;
use crate::scalar::sextet;
use crate::simd;

/// Decodes a candidate `raw`, as it stands in body, form or query, into the start of `target`: percent-decoding (if
/// `escaped`), repairs and base64 in one go. `None` when it needs the long way: faults and everything unusual.
///
/// `target` is at least as long as `raw`.
pub fn decode_quickly(raw: &[u8], escaped: bool, target: &mut [u8]) -> Option<usize> {
    let characters = gather(raw, escaped, target)?;
    (characters > 0 && characters % 4 != 1).then(|| finish(target, characters))
}

/// Copies the alphabet's characters together. A plus at either end may be a blank that has to be trimmed: the long way.
fn gather(raw: &[u8], escaped: bool, target: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    while from < raw.len() {
        // In a form a plus is a space, which the repair turns back.
        let end = simd::alphabet_end(raw, from);
        let run = &raw[from..end];
        target[to..to + run.len()].copy_from_slice(run);
        to += run.len();
        if end == raw.len() {
            break;
        }
        let (byte, length) = read_byte(&raw[end..], escaped);
        from = end + length;
        target[to] = match byte {
            b'\r' | b'\n' | b'\t' => continue,
            b'=' if only_padding(&raw[from..], escaped) => break,
            b' ' | b'-' => b'+',
            b'_' => b'/',
            _ if sextet(byte) < 64 => byte,
            _ => return None,
        };
        to += 1;
    }
    let is_plus = |character: Option<&u8>| character == Some(&b'+');
    (!is_plus(target[..to].first()) && !is_plus(target[..to].last())).then_some(to)
}

/// The first byte of `raw`, which is not empty, and how many bytes it takes.
fn read_byte(raw: &[u8], escaped: bool) -> (u8, usize) {
    match percent::escaped_byte(raw) {
        Some(byte) if escaped => (byte, 3),
        _ => (raw[0], 1),
    }
}

/// Nothing but `=`, CR, LF and TAB.
fn only_padding(mut rest: &[u8], escaped: bool) -> bool {
    while !rest.is_empty() {
        let (byte, length) = read_byte(rest, escaped);
        if !matches!(byte, b'=' | b'\r' | b'\n' | b'\t') {
            return false;
        }
        rest = &rest[length..];
    }
    true
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
    let length = simd::decode_base64(buffer, whole);
    let bytes = [rest[0] << 2 | rest[1] >> 4, rest[1] << 4 | rest[2] >> 2];
    let more = (characters % 4).saturating_sub(1);
    buffer[length..length + more].copy_from_slice(&bytes[..more]);
    length + more
}
