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
/// `data` of the form: it counts before that of the query.
const FORM_DATA: usize = 8;
const VALUES: usize = 9;

/// Raw values by the index of their names; empty for none.
#[derive(Default)]
struct Found<'a> {
    values: [&'a [u8]; VALUES],
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
    if query.is_empty() && form.is_empty() {
        return (Params::default(), [&[], &[]]);
    }
    let mut found = Found::default();
    found.split(query, DATA);
    found.split(form, FORM_DATA);
    (found.params(endpoint), [found.values[FORM_DATA], found.values[DATA]])
}

impl<'a> Found<'a> {
    /// Takes what is not there yet: of several values of a name the first that is not empty counts.
    fn split(&mut self, text: &'a [u8], data: usize) {
        let mut start = 0;
        while start < text.len() {
            let end = simd::find_either(text, start, b'&', b'&');
            self.part(&text[start..end], data);
            start = end + 1;
        }
    }

    fn part(&mut self, part: &'a [u8], data: usize) {
        let head = &part[..part.len().min(3 * NAME_BYTES_MAX + 1)];
        let Some(equals) = head.iter().position(|&byte| byte == b'=') else { return };
        let name = &part[..equals];
        let index = match place(name).or_else(|| escaped_place(name)) {
            Some(DATA) => data,
            Some(index) => index,
            None => return,
        };
        if self.values[index].is_empty() {
            self.values[index] = &part[equals + 1..];
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
