//! Parameters of query and form (docs/DECODING.md 1).

use super::{base64, percent};
use crate::batch::param;
use crate::options::Endpoint;
use crate::{scalar, simd};

const NAME_BYTES_MAX: usize = 8;
// Indices of the names that count.
const VERBOSE: usize = 0;
const IP: usize = 1;
const STRICT: usize = 2;
const IMG: usize = 3;
const CALLBACK: usize = 4;
const REDIRECT: usize = 5;
const TEST: usize = 6;
/// The one that is no flag.
const DATA: usize = 7;
const NAMES: usize = 8;

/// Values but for `data`, a byte each, by the index of their names. One number, which stays in a register: what is written
/// to memory in pieces and read whole a moment later makes the processor wait.
#[derive(Clone, Copy, Default)]
struct Flags(u64);

/// No value.
const EMPTY: u8 = 0;
/// Any value that means no more than that there is one.
const OTHER: u8 = 0xFF;

impl Flags {
    #[inline(always)]
    fn value(self, index: usize) -> u8 {
        (self.0 >> (8 * index)) as u8
    }

    /// The first one of a name counts.
    #[inline(always)]
    fn put(&mut self, index: usize, value: u8) {
        if self.value(index) == EMPTY {
            self.0 |= u64::from(value) << (8 * index);
        }
    }

    /// What there is here, and from `other` what there is not. All values have the fifth bit in common.
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        let is_here = (self.0 >> 4 & 0x0101_0101_0101_0101) * 0xFF;
        Self(self.0 | other.0 & !is_here)
    }
}

/// Where the payload is looked for first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataIn {
    /// In the form, then in the query.
    Form,
    /// In the query.
    Query,
    /// In neither of them.
    Neither,
}

/// The first `data` that is not empty; the form's comes before the query's.
#[derive(Clone, Copy, Default)]
pub struct Data<'a> {
    /// Its raw value; empty for none.
    pub raw: &'a [u8],
    /// It was base64, which is decoded to the scratch buffer's start: as many bytes.
    pub decoded: Option<usize>,
}

/// What a request's parameters say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// Bits of [`param`].
    pub bits: i32,
    /// `ip`, if it is 0 or 1.
    pub ip: Option<bool>,
    /// `test=1`
    pub test: bool,
}

/// Reads the parameters of query and form. Where the payload is looked for first, base64 is decoded on the way, so that
/// nobody has to look for its end before.
///
/// It is a part of its caller: what is handed back in memory is written in pieces and read whole, for which the processor
/// waits.
#[inline(always)]
pub fn read<'a>(
    endpoint: Endpoint,
    query: &'a [u8],
    form: &'a [u8],
    data_in: DataIn,
    scratch: &mut [u8],
) -> (Params, Data<'a>) {
    if query.is_empty() && form.is_empty() {
        return (Params::default(), Data::default());
    }
    let mut data = Data::default();
    // The query last: it was written a moment ago, when reading it would have to wait.
    let in_form = split(form, (data_in == DataIn::Form).then_some(&mut *scratch), &mut data);
    let in_query = split(query, (data_in == DataIn::Query).then_some(scratch), &mut data);
    (params(in_query.or(in_form), endpoint), data)
}

/// The values of one text: of several of a name the first that is not empty counts.
fn split<'a>(text: &'a [u8], mut scratch: Option<&mut [u8]>, data: &mut Data<'a>) -> Flags {
    let mut flags = Flags::default();
    let mut start = 0;
    // Where parts end in the 64 bytes from `block` on.
    let (mut block, mut ends) = (0, simd::part_ends(text, 0));
    while start < text.len() {
        if let Some(scratch) = scratch.as_deref_mut()
            && let Some(end) = decode_data(text, start, scratch, data)
        {
            start = end + 1;
            (block, ends) = (start, simd::part_ends(text, start));
            continue;
        }
        while ends == 0 {
            block += scalar::BLOCK;
            ends = simd::part_ends(text, block);
        }
        let end = block + ends.trailing_zeros() as usize;
        ends &= ends - 1;
        take(text, start, end, &mut flags, data);
        start = end + 1;
    }
    flags
}

/// The part `data=` at `start` if it is base64, and the first of its name: the part's end.
#[inline]
fn decode_data<'a>(text: &'a [u8], start: usize, scratch: &mut [u8], data: &mut Data<'a>) -> Option<usize> {
    let value = text[start..].strip_prefix(b"data=").filter(|_| data.raw.is_empty())?;
    let (decoded, length) = base64::decode_quickly(value, true, scratch)?;
    *data = Data { raw: &value[..length], decoded: Some(decoded) };
    Some(text.len() - value.len() + length)
}

/// The part `text[start..end]`.
#[inline]
fn take<'a>(text: &'a [u8], start: usize, end: usize, flags: &mut Flags, data: &mut Data<'a>) {
    let part = &text[start..end];
    let Some((index, value)) = part_place(word_at(text, start), part) else { return };
    let value = &part[value..];
    if value.is_empty() {
        return;
    }
    if index < DATA {
        flags.put(index, flag(value));
    } else if data.raw.is_empty() {
        data.raw = value;
    }
}

/// What a raw value that is not empty says.
#[inline]
fn flag(raw: &[u8]) -> u8 {
    let byte = match (raw, percent::escaped_byte(raw)) {
        (&[one], _) => one,
        (&[_, _, _], Some(byte)) => byte,
        _ => OTHER,
    };
    if matches!(byte, b'0'..=b'2') { byte } else { OTHER }
}

#[inline(always)]
fn params(flags: Flags, endpoint: Endpoint) -> Params {
    let value = |index: usize| flags.value(index);
    let mut bits = 0;
    let mut set = |condition: bool, bit: usize| bits |= if condition { bit as i32 } else { 0 };
    set(value(VERBOSE) == b'1', param::VERBOSE_1);
    set(value(VERBOSE) == b'2', param::VERBOSE_2);
    set(value(STRICT) == b'1' && endpoint != Endpoint::Track, param::STRICT);
    set(value(IMG) == b'1', param::IMG);
    set(value(CALLBACK) != EMPTY, param::CALLBACK);
    set(value(REDIRECT) != EMPTY, param::REDIRECT);
    let ip = if value(IP) == b'1' { Some(true) } else { (value(IP) == b'0').then_some(false) };
    Params { bits, ip, test: value(TEST) == b'1' }
}

/// A name's bytes in one number, as they would be read with zeroes behind them.
const fn word(name: &[u8]) -> u64 {
    let (mut packed, mut at) = (0, 0);
    while at < name.len() {
        packed |= (name[at] as u64) << (8 * at);
        at += 1;
    }
    packed
}

const WORDS: [u64; NAMES] = [
    word(b"verbose"),
    word(b"ip"),
    word(b"strict"),
    word(b"img"),
    word(b"callback"),
    word(b"redirect"),
    word(b"test"),
    word(b"data"),
];

/// Eight bytes of a text from `start` on, which lies in it, with zeroes for those behind its end.
#[inline]
fn word_at(text: &[u8], start: usize) -> u64 {
    let rest = &text[start..];
    match (rest.first_chunk(), text.last_chunk()) {
        (Some(front), _) => u64::from_le_bytes(*front),
        (None, Some(back)) => u64::from_le_bytes(*back) >> (u64::BITS - 8 * rest.len() as u32),
        (None, None) => word(rest),
    }
}

/// The index of the name in front of `=`, if it counts, and where its value begins. `front`: the part's first eight
/// bytes, and what follows it if it is shorter.
#[inline]
fn part_place(front: u64, part: &[u8]) -> Option<(usize, usize)> {
    let length = scalar::equal(front, b'=').trailing_zeros() as usize / 8;
    let name = if length < NAME_BYTES_MAX { front & ((1 << (8 * length)) - 1) } else { front };
    if part.get(length) != Some(&b'=') || scalar::equal(name, b'%') != 0 {
        return escaped_place(part);
    }
    Some((place(name, length)?, length + 1))
}

/// The index of a name that counts, by its word and its length: zero bytes at its end are not to be seen in the word.
#[inline]
fn place(name: u64, length: usize) -> Option<usize> {
    let bytes = NAME_BYTES_MAX - name.leading_zeros() as usize / 8;
    WORDS.iter().position(|&word| word == name).filter(|_| bytes == length)
}

/// The same for a name that is long, or has escapes; nobody sends such, but they are allowed.
#[inline(never)]
fn escaped_place(part: &[u8]) -> Option<(usize, usize)> {
    let head = &part[..part.len().min(3 * NAME_BYTES_MAX + 1)];
    let equals = head.iter().position(|&byte| byte == b'=')?;
    let name = &part[..equals];
    if !name.contains(&b'%') {
        return None;
    }
    let mut decoded = [0; 3 * NAME_BYTES_MAX];
    let length = percent::decode(name, &mut decoded, true);
    if length > NAME_BYTES_MAX {
        return None;
    }
    Some((place(word(&decoded[..length]), length)?, equals + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_both(query: &str, form: &str) -> (Params, String) {
        let (query, form) = (query.as_bytes(), form.as_bytes());
        let found = [DataIn::Form, DataIn::Query, DataIn::Neither].map(|data_in| {
            let mut scratch = vec![0; query.len().max(form.len())];
            let (params, data) = read(Endpoint::Import, query, form, data_in, &mut scratch);
            (params, String::from_utf8(data.raw.to_vec()).unwrap())
        });
        // Whether data is decoded on the way changes nothing else.
        assert!(found.iter().all(|other| *other == found[0]));
        found[0].clone()
    }

    #[test]
    fn the_query_counts_before_the_form() {
        let (params, _) = read_both("verbose=2&ip=0", "verbose=1&strict=1&ip=1&img=1&test=1");
        assert_eq!(params.bits as usize, param::VERBOSE_2 | param::STRICT | param::IMG);
        assert_eq!((params.ip, params.test), (Some(false), true));
    }

    #[test]
    fn the_first_value_that_is_not_empty_counts() {
        let (params, data) = read_both("verbose=&verbose=7&verbose=1&data", "data=&data=a%20b&data=c&data=");
        assert_eq!(params.bits, 0);
        assert_eq!(data, "a%20b");
    }

    #[test]
    fn names_and_values_are_decoded() {
        let (params, data) = read_both("%76erbose=%31&call%62ack=+&redirect=%", "d%61ta=x");
        assert_eq!(params.bits as usize, param::VERBOSE_1 | param::CALLBACK | param::REDIRECT);
        assert_eq!(data, "x");
    }

    #[test]
    fn names_are_compared_to_their_end() {
        for name in
            ["ip\0", "ip%00", "i", "ipp", "\0ip", "callbacks", "callback\0", "redirec", "tes", "%69p%70"]
        {
            let (params, _) = read_both(&format!("{name}=1"), "");
            assert_eq!(params, Params::default(), "{name:?}");
        }
        for (name, bits) in
            [("callback", param::CALLBACK), ("redirect", param::REDIRECT), ("img", param::IMG)]
        {
            assert_eq!(read_both(&format!("{name}=1"), "").0.bits as usize, bits);
            assert_eq!(read_both("", &format!("{name}=1&a=b&c")).0.bits as usize, bits);
        }
    }

    /// Names are read eight bytes at a time, and parameters may be shorter.
    #[test]
    fn parameters_do_not_run_into_each_other() {
        for text in ["ip&test=1", "a=&test=1", "&test=1", "test=1", "i=1&ip&p=1&test=1", "verbose&test=1&ip"]
        {
            for params in [read_both(text, "").0, read_both("", text).0] {
                assert_eq!(params, Params { test: true, ..Params::default() }, "{text}");
            }
        }
    }

    #[test]
    fn strict_is_not_for_track() {
        assert_eq!(read(Endpoint::Track, b"strict=1", b"", DataIn::Query, &mut []).0, Params::default());
    }

    #[test]
    fn long_names_and_parts_without_a_value_are_skipped() {
        let long = format!("{}=1&=&&a&verbose=1", "v".repeat(100));
        assert_eq!(read_both(&long, "").0.bits as usize, param::VERBOSE_1);
    }
}
