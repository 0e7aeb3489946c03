//! Parameters of query and form (docs/DECODING.md 1).

use super::percent;
use crate::batch::param;
use crate::options::Endpoint;
use crate::simd;

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
const NAMES: usize = 8;

/// Raw values by the index of their names; empty for none.
type Values<'a> = [&'a [u8]; NAMES];

/// The parameters of one query or form.
struct Found<'a> {
    values: Values<'a>,
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

/// Reads the parameters of query and form; also returns the raw `data` of the form and of the query, in this order.
pub fn read<'a>(endpoint: Endpoint, query: &'a [u8], form: &'a [u8]) -> (Params, [&'a [u8]; 2]) {
    let (query, form) = (split(query), split(form));
    let value = |index: usize| {
        let raw = if query.values[index].is_empty() { form.values[index] } else { query.values[index] };
        Short::decode(raw)
    };
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
    let params = Params { bits, ip, test: value(TEST).is(b'1') };
    (params, [form.values[DATA], query.values[DATA]])
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

fn split(text: &[u8]) -> Found<'_> {
    let mut found = Found { values: [&[]; NAMES] };
    let mut start = 0;
    while start < text.len() {
        let end = simd::find_either(text, start, b'&', b'&');
        found.part(&text[start..end]);
        start = end + 1;
    }
    found
}

impl<'a> Found<'a> {
    fn part(&mut self, part: &'a [u8]) {
        let head = &part[..part.len().min(3 * NAME_BYTES_MAX + 1)];
        let Some(equals) = head.iter().position(|&byte| byte == b'=') else { return };
        let name = &part[..equals];
        if let Some(index) = place(name).or_else(|| escaped_place(name))
            && self.values[index].is_empty()
        {
            self.values[index] = &part[equals + 1..];
        }
    }
}

/// The index of a name that counts.
fn place(name: &[u8]) -> Option<usize> {
    Some(match name {
        b"data" => DATA,
        b"verbose" => VERBOSE,
        b"strict" => STRICT,
        b"img" => IMG,
        b"callback" => CALLBACK,
        b"redirect" => REDIRECT,
        b"ip" => IP,
        b"test" => TEST,
        _ => return None,
    })
}

/// The same for a name with escapes; nobody sends such, but they are allowed.
fn escaped_place(name: &[u8]) -> Option<usize> {
    if !name.contains(&b'%') {
        return None;
    }
    let mut decoded = [0; 3 * NAME_BYTES_MAX];
    let length = percent::decode(name, &mut decoded, true);
    place(&decoded[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_both(query: &str, form: &str) -> (Params, [String; 2]) {
        let (params, data) = read(Endpoint::Import, query.as_bytes(), form.as_bytes());
        (params, data.map(|raw| String::from_utf8(raw.to_vec()).unwrap()))
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
    fn strict_is_not_for_track() {
        assert_eq!(read(Endpoint::Track, b"strict=1", b"").0, Params::default());
    }

    #[test]
    fn long_names_and_parts_without_a_value_are_skipped() {
        let long = format!("{}=1&=&&a&verbose=1", "v".repeat(100));
        assert_eq!(read_both(&long, "").0.bits as usize, param::VERBOSE_1);
    }
}
