//! Parameters of query and form (docs/DECODING.md 1).

use super::{base64, percent};
use crate::batch::param;
use crate::options::Endpoint;
use crate::{scalar, simd};

const NAME_BYTES_MAX: usize = 8;
// Indices of the names that count.
const DATA: usize = 0;
const VERBOSE: usize = 1;
const STRICT: usize = 2;
const IMG: usize = 3;
const CALLBACK: usize = 4;
const REDIRECT: usize = 5;
const IP: usize = 6;
const TEST: usize = 7;
/// `data` of the form: it counts before that of the query.
const FORM_DATA: usize = 8;
const VALUES: usize = 9;

/// Raw values by the index of their names; empty for none.
#[derive(Default)]
struct Found<'a> {
    values: [&'a [u8]; VALUES],
    /// Bits of the indices that the text at hand has a value for.
    taken: u32,
    decoded: Option<usize>,
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

/// The values of `data`.
#[derive(Default)]
pub struct Data<'a> {
    /// The one that counts was base64, which is decoded to the scratch buffer's start: as many bytes.
    pub decoded: Option<usize>,
    /// Raw: the form's and the query's.
    pub raw: [&'a [u8]; 2],
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
    let mut found = Found::default();
    // The query last: it counts before the form, and it was written a moment ago, when reading it would have to wait.
    found.split(form, FORM_DATA, (data_in == DataIn::Form).then_some(&mut *scratch));
    found.split(query, DATA, (data_in == DataIn::Query).then_some(scratch));
    let raw = [found.values[FORM_DATA], found.values[DATA]];
    (found.params(endpoint), Data { decoded: found.decoded, raw })
}

impl<'a> Found<'a> {
    /// Takes the values of one text in place of those before: of several of a name the first that is not empty counts.
    fn split(&mut self, text: &'a [u8], data: usize, mut scratch: Option<&mut [u8]>) {
        self.taken = 0;
        let mut start = 0;
        while start < text.len() {
            let rest = &text[start..];
            let length =
                match scratch.as_deref_mut().and_then(|scratch| self.decode_data(rest, data, scratch)) {
                    Some(length) => length,
                    None => self.part(rest, data),
                };
            start += length + 1;
        }
    }

    /// The part `data=` at the start of `rest` if it is base64, and the first of its name: the part's length.
    fn decode_data(&mut self, rest: &'a [u8], data: usize, scratch: &mut [u8]) -> Option<usize> {
        let value = rest.strip_prefix(b"data=").filter(|_| self.values[data].is_empty())?;
        let (decoded, length) = base64::decode_quickly(value, true, scratch)?;
        self.values[data] = &value[..length];
        self.taken |= 1 << data;
        self.decoded = Some(decoded);
        Some(rest.len() - value.len() + length)
    }

    /// The part at the start of `rest`: its length.
    fn part(&mut self, rest: &'a [u8], data: usize) -> usize {
        let end = simd::find_either(rest, 0, b'&', b'&');
        self.take(&rest[..end], data);
        end
    }

    #[inline]
    fn take(&mut self, part: &'a [u8], data: usize) {
        let Some((index, value)) = quick_place(part).or_else(|| escaped_place(part)) else { return };
        let index = if index == DATA { data } else { index };
        let (value, bit) = (&part[value..], 1 << index);
        if !value.is_empty() && self.taken & bit == 0 {
            self.values[index] = value;
            self.taken |= bit;
        }
    }

    fn params(&self, endpoint: Endpoint) -> Params {
        let value = |index: usize| Short::decode(self.values[index]);
        let mut bits = 0;
        let mut set = |condition: bool, bit: usize| bits |= if condition { bit as i32 } else { 0 };
        let verbose = value(VERBOSE);
        set(verbose.is(b'1'), param::VERBOSE_1);
        set(verbose.is(b'2'), param::VERBOSE_2);
        set(value(STRICT).is(b'1') && endpoint != Endpoint::Track, param::STRICT);
        set(value(IMG).is(b'1'), param::IMG);
        set(value(CALLBACK).length > 0, param::CALLBACK);
        set(value(REDIRECT).length > 0, param::REDIRECT);
        let ip = value(IP);
        let ip = if ip.is(b'1') { Some(true) } else { ip.is(b'0').then_some(false) };
        Params { bits, ip, test: value(TEST).is(b'1') }
    }
}

/// The start of a decoded value: all that the short ones need.
struct Short {
    first: u8,
    length: usize,
}

impl Short {
    fn decode(raw: &[u8]) -> Self {
        match raw {
            [] => Self { first: 0, length: 0 },
            &[one] => Self { first: one, length: 1 },
            _ => match percent::escaped_byte(raw) {
                Some(byte) if raw.len() == 3 => Self { first: byte, length: 1 },
                _ => Self { first: 0, length: 2 },
            },
        }
    }

    fn is(&self, wanted: u8) -> bool {
        self.length == 1 && self.first == wanted
    }
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

const WORDS: [u64; FORM_DATA] = [
    word(b"data"),
    word(b"verbose"),
    word(b"strict"),
    word(b"img"),
    word(b"callback"),
    word(b"redirect"),
    word(b"ip"),
    word(b"test"),
];

/// The index of the name in front of `=`, if it counts and is written without escapes, and where its value begins.
#[inline]
fn quick_place(part: &[u8]) -> Option<(usize, usize)> {
    let front = match part.first_chunk() {
        Some(front) => u64::from_le_bytes(*front),
        None => word(part),
    };
    let equals = scalar::equal(front, b'=');
    let (name, length) = if equals != 0 {
        // Only what stands below the first mark counts.
        (front & ((equals & equals.wrapping_neg()) - 1) >> 7, equals.trailing_zeros() as usize / 8)
    } else if part.get(NAME_BYTES_MAX) == Some(&b'=') {
        (front, NAME_BYTES_MAX)
    } else {
        return None;
    };
    Some((place(name, length)?, length + 1))
}

/// The index of a name that counts, by its word and its length: zero bytes at its end are not to be seen in the word.
#[inline]
fn place(name: u64, length: usize) -> Option<usize> {
    let bytes = NAME_BYTES_MAX - name.leading_zeros() as usize / 8;
    WORDS.iter().position(|&word| word == name).filter(|_| bytes == length)
}

/// The same for a name with escapes; nobody sends such, but they are allowed.
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

    fn read_both(query: &str, form: &str) -> (Params, [String; 2]) {
        let (query, form) = (query.as_bytes(), form.as_bytes());
        let found = [DataIn::Form, DataIn::Query, DataIn::Neither].map(|data_in| {
            let mut scratch = vec![0; query.len().max(form.len())];
            let (params, data) = read(Endpoint::Import, query, form, data_in, &mut scratch);
            (params, data.raw.map(|raw| String::from_utf8(raw.to_vec()).unwrap()))
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
        assert_eq!(data, ["a%20b", ""]);
    }

    #[test]
    fn names_and_values_are_decoded() {
        let (params, data) = read_both("%76erbose=%31&call%62ack=+&redirect=%", "d%61ta=x");
        assert_eq!(params.bits as usize, param::VERBOSE_1 | param::CALLBACK | param::REDIRECT);
        assert_eq!(data, ["x", ""]);
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
