//! From body and query to the payload: the bytes that hold the JSON text (docs/DECODING.md 1 and 2).

mod base64;
mod params;
mod percent;

use params::DataIn;
pub use params::Params;

use crate::options::{Content, Endpoint};
use crate::problem::Problem;
use crate::text::{trim, trim_start};

/// How the payload is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One JSON value.
    Json,
    /// One JSON value a line.
    Lines,
    /// One JSON value, or lines if that fails and the first line alone is one.
    JsonOrLines,
}

/// Which memory the payload lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The body as it came.
    Body = 0,
    /// What was decoded into the scratch buffer.
    Scratch = 1,
}

/// The bytes that hold the JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The memory it lies in.
    pub source: Source,
    /// Index of its first byte there.
    pub start: usize,
    /// The byte behind it.
    pub end: usize,
    /// How it is read.
    pub shape: Shape,
    /// Why it cannot be read, and the byte at fault (-1 for none).
    pub problem: Option<(Problem, i32)>,
}

impl Payload {
    fn new(source: Source, start: usize, end: usize, shape: Shape) -> Self {
        Self { source, start, end, shape, problem: None }
    }

    fn missing() -> Self {
        Self { problem: Some((Problem::DataMissing, -1)), ..Self::new(Source::Body, 0, 0, Shape::Json) }
    }
}

/// What a body is, by its media type and its first bytes.
enum Nature<'a> {
    /// There is nothing in it.
    Nothing,
    /// Parameters.
    Form(&'a [u8]),
    /// The payload itself.
    Payload(Shape),
    /// Perhaps base64.
    Base64,
}

fn opens_json(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'{' | b'['))
}

fn classify(content: Content, body: &[u8]) -> Nature<'_> {
    let text = &body[trim_start(body)..];
    if content == Content::None || text.is_empty() {
        return Nature::Nothing;
    }
    let json = opens_json(text);
    match content {
        Content::Form if json => Nature::Payload(Shape::Json),
        Content::Form => Nature::Form(text),
        _ if text.starts_with(b"data=") => Nature::Form(text),
        Content::Ndjson => Nature::Payload(Shape::Lines),
        Content::Json if json => Nature::Payload(Shape::Json),
        Content::Json => Nature::Base64,
        _ if json => Nature::Payload(Shape::JsonOrLines),
        _ if contains_data(text) => Nature::Form(text),
        _ => Nature::Base64,
    }
}

fn contains_data(text: &[u8]) -> bool {
    const NEEDLE: &[u8] = b"&data=";
    let mut at = 0;
    loop {
        at = crate::simd::find_either(text, at, b'&', b'&');
        match text.get(at..) {
            None | Some([]) => return false,
            Some(rest) if rest.starts_with(NEEDLE) => return true,
            Some(_) => at += 1,
        }
    }
}

/// Finds parameters and payload. `scratch` is at least as long as body and query.
pub fn locate(
    endpoint: Endpoint,
    content: Content,
    query: &[u8],
    body: &[u8],
    scratch: &mut [u8],
) -> (Params, Payload) {
    let nature = classify(content, body);
    let (form, data_in) = match nature {
        Nature::Form(text) => (text, DataIn::Form),
        Nature::Nothing => (&[][..], DataIn::Query),
        Nature::Payload(_) | Nature::Base64 => (&[][..], DataIn::Neither),
    };
    let (params, data) = params::read(endpoint, query, form, data_in, scratch);
    let payload = match nature {
        Nature::Payload(shape) => Payload::new(Source::Body, 0, body.len(), shape),
        Nature::Base64 => body_base64(body, scratch),
        Nature::Form(_) | Nature::Nothing => match data.decoded {
            Some(length) => Payload::new(Source::Scratch, 0, length, Shape::Json),
            None if data.raw.is_empty() => Payload::missing(),
            None => data_value(data.raw, scratch),
        },
    };
    (params, payload)
}

/// The `data` parameter, raw.
fn data_value(raw: &[u8], scratch: &mut [u8]) -> Payload {
    if let Some((length, _)) = base64::decode_quickly(raw, true, scratch) {
        return Payload::new(Source::Scratch, 0, length, Shape::Json);
    }
    let length = percent::decode(raw, scratch, true);
    let (start, end) = trim(&scratch[..length]);
    if opens_json(&scratch[start..end]) {
        return Payload::new(Source::Scratch, 0, length, Shape::Json);
    }
    scratch_base64(scratch, start, end)
}

/// A body that is perhaps base64; it is not blank.
fn body_base64(body: &[u8], scratch: &mut [u8]) -> Payload {
    let (start, end) = trim(body);
    let candidate = &body[start..end];
    if let Some((length, _)) = base64::decode_quickly(candidate, false, scratch) {
        return Payload::new(Source::Scratch, 0, length, Shape::Json);
    }
    scratch[..candidate.len()].copy_from_slice(candidate);
    scratch_base64(scratch, 0, candidate.len())
}

/// A trimmed base64 candidate in the scratch buffer.
fn scratch_base64(scratch: &mut [u8], mut start: usize, mut end: usize) -> Payload {
    if scratch[start..end].contains(&b'%') {
        end = percent::decode_in_place(scratch, start, end);
        let (from, to) = trim(&scratch[start..end]);
        (start, end) = (start + from, start + to);
        if opens_json(&scratch[start..end]) {
            return Payload::new(Source::Scratch, start, end, Shape::Json);
        }
    }
    if start == end {
        return Payload::missing();
    }
    if let Some(offset) = base64::find_fault(&scratch[start..end]) {
        let problem = Some((Problem::Base64Invalid, offset as i32));
        return Payload { problem, ..Payload::new(Source::Scratch, start, end, Shape::Json) };
    }
    match base64::decode_in_place(scratch, start, end) {
        0 => Payload::missing(),
        length => Payload::new(Source::Scratch, 0, length, Shape::Json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Problem or payload text of a form's `data`.
    fn data(raw: &str) -> Result<String, (Problem, i32)> {
        let form = format!("x=1&data={raw}&verbose=1");
        let mut scratch = vec![0; form.len()];
        let (params, found) = locate(Endpoint::Track, Content::Form, b"", form.as_bytes(), &mut scratch);
        assert_eq!(params.bits, 1);
        match found.problem {
            Some(problem) => Err(problem),
            None => Ok(String::from_utf8_lossy(&scratch[found.start..found.end]).into_owned()),
        }
    }

    #[test]
    fn base64_in_all_its_disguises() {
        // The text is chosen so that its base64 holds both special letters.
        let plain = "[\"??>>~~\"]";
        let encoded = "WyI_Pz4-fn4iXQ==";
        let variants = [
            "WyI/Pz4+fn4iXQ==",
            "WyI/Pz4 fn4iXQ==",
            "WyI_Pz4-fn4iXQ",
            "WyI%2FPz4%2Bfn4iXQ%3D%3D",
            "WyI%2fPz4%2bfn4iXQ%3d",
            "WyI%252FPz4%252Bfn4iXQ%253D%253D",
            "%20WyI/Pz4+fn4iXQ==%20",
            "+WyI/Pz4+fn4iXQ==+",
            "%0AWyI/%0D%0APz4+\r\nfn4iXQ=%0A=%0A",
            "WyI/Pz4%20fn4iXQ",
            "%57yI/Pz4+fn4iXQ",
            "%EF%BB%BFWyI/Pz4+fn4iXQ",
            encoded,
        ];
        for variant in variants {
            assert_eq!(data(variant), Ok(plain.to_owned()), "{variant}");
        }
    }

    #[test]
    fn json_in_data_stays_untrimmed() {
        assert_eq!(data("%20%7B%7D+"), Ok(" {} ".to_owned()));
        assert_eq!(data("[]"), Ok("[]".to_owned()));
        assert_eq!(data("%255B%255D"), Ok("[]".to_owned()));
    }

    #[test]
    fn faults_of_base64_have_an_offset() {
        let invalid = |offset| Err((Problem::Base64Invalid, offset));
        assert_eq!(data("WyI*"), invalid(3));
        assert_eq!(data("WyI=WyI="), invalid(3));
        assert_eq!(data("+WyI=+WyI="), invalid(3));
        assert_eq!(data("WyIaW"), invalid(5));
        assert_eq!(data("W"), invalid(1));
        assert_eq!(data("WyI%"), invalid(3));
        assert_eq!(data("%E2%82%ACWyI"), invalid(0));
    }

    #[test]
    fn nothing_is_missing_data() {
        let missing = Err((Problem::DataMissing, -1));
        for raw in ["", "+", "%20%0A", "%3D%3D", "=", "%EF%BB%BF"] {
            assert_eq!(data(raw), missing, "{raw}");
        }
    }

    /// Quick and long way give the same for every pair of bytes in every place.
    #[test]
    fn the_quick_way_agrees_with_the_long_one() {
        let bytes = b"AbZ09+/-_= %\r\n\t\x0B\x0C\x00{[\xEF2B3D0F";
        for &one in bytes {
            for &two in bytes {
                for place in 0..6 {
                    let mut raw = b"WyI/Pz".to_vec();
                    raw[place] = one;
                    raw.insert(place + 1, two);
                    for escaped in [true, false] {
                        compare_ways(&raw, escaped);
                    }
                }
            }
        }
    }

    fn compare_ways(raw: &[u8], escaped: bool) {
        let mut quick = vec![0; raw.len()];
        let Some((length, end)) = base64::decode_quickly(raw, escaped, &mut quick) else { return };
        assert_eq!(end, raw.len());
        let mut long = vec![0; raw.len()];
        let decoded = if escaped {
            percent::decode(raw, &mut long, true)
        } else {
            long.copy_from_slice(raw);
            raw.len()
        };
        let (start, end) = trim(&long[..decoded]);
        assert!(!opens_json(&long[start..end]));
        let found = scratch_base64(&mut long, start, end);
        assert_eq!(found.problem, None, "{raw:?}");
        assert_eq!(long[found.start..found.end], quick[..length], "{raw:?}");
    }
}
