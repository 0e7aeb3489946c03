//! The envelope (docs/DECODING.md 5) and the record around it (`src/record.ts`), written in one go.

use super::address::is_address;
use super::compact::{compact_bytes_max, put_compact};
use super::item::{Item, Text};
use super::murmur2::murmur2;
use super::time::{self, Ms};
use super::writer::{Digits, Writer};
use crate::batch::RECORD_HEADER_BYTES;
use crate::json::slot;
use crate::json::value::Kind;
use crate::options::{Endpoint, StoreIp};
use crate::request::Request;
use crate::text::{Sink, cut};

/// Bits of a record's flags.
pub mod flag {
    /// Older than five days at receipt.
    pub const LATE: u16 = 1;
    /// The time could not be read.
    pub const TIME_INVALID: u16 = 2;
    /// The time was later than the receipt.
    pub const TIME_FUTURE: u16 = 4;
    /// Invalid UTF-8 or CESU-8 was repaired.
    pub const UTF8_REPAIRED: u16 = 8;
    /// Half of a surrogate pair was replaced.
    pub const SURROGATE_REPAIRED: u16 = 16;
    /// `NaN` and its like became null.
    pub const NAN_REPLACED: u16 = 32;
    /// The request said `test=1`.
    pub const TEST: u16 = 64;
    /// The record was rejected once and comes again.
    pub const REPLAYED: u16 = 128;
    /// Their names in the envelope, by bit.
    pub const NAMES: [&[u8]; 8] = [
        b"late",
        b"time_invalid",
        b"time_future",
        b"utf8_repaired",
        b"surrogate_repaired",
        b"nan_replaced",
        b"test",
        b"replayed",
    ];
}

const LATE_MS: i64 = 5 * 24 * 60 * 60 * 1000;
const LIB_BYTES_MAX: usize = 256;
/// More than all that is written beside texts and context: names, numbers, flags, header.
const FIXED_BYTES_MAX: usize = 768;
/// A byte written as `\u00xx`.
const ESCAPE_BYTES_MAX: usize = 6;

/// When a record happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `time_ms`
    pub ms: i64,
    /// What was wrong with the record's own time.
    pub flags: u16,
}

/// The record's time, or the receipt's where it has none that can be used.
pub fn moment(item: &Item, request: &Request) -> Moment {
    let envelope = &request.envelope;
    let received = Moment { ms: envelope.received_ms, flags: 0 };
    let value = item.value(slot::TIME);
    let number = match value.kind {
        Kind::Absent | Kind::Null => return received,
        Kind::Number => Some(value.raw(item.payload)),
        _ => item.string(slot::TIME).map(|text| text.bytes).filter(|text| time::is_number(text)),
    };
    match number.map(time::read) {
        Some(Ms::At(ms)) if ms > received.ms && envelope.endpoint.has_events() => {
            Moment { flags: flag::TIME_FUTURE, ..received }
        }
        Some(Ms::At(ms)) => {
            let is_late = envelope.endpoint == Endpoint::Track && ms < received.ms.saturating_sub(LATE_MS);
            Moment { ms, flags: if is_late { flag::LATE } else { 0 } }
        }
        _ => Moment { flags: flag::TIME_INVALID, ..received },
    }
}

/// What a record's own address says about its place.
enum Address {
    Unusable,
    Refused,
    Valid,
}

fn address(item: &Item) -> Address {
    match item.text(slot::IP) {
        Some(text) if text.bytes == b"0" => Address::Refused,
        Some(text) if item.value(slot::IP).kind == Kind::String && is_address(text.bytes) => Address::Valid,
        _ => Address::Unusable,
    }
}

struct DistinctId<'a> {
    text: Option<Text<'a>>,
    source: IdSource,
}

/// Where a `distinct_id` was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IdSource {
    Record,
    UserId,
    DeviceId,
    Nowhere,
}

impl IdSource {
    /// In front of the text.
    fn prefix(self) -> &'static [u8] {
        if self == Self::DeviceId { b"$device:" } else { b"" }
    }
}

/// Where an `insert_id` was found.
#[derive(Clone, Copy)]
enum InsertSource {
    Client,
    Metadata,
    Generated,
}

fn distinct_id<'a>(item: &Item<'a>, endpoint: Endpoint) -> DistinctId<'a> {
    let full = |slot: usize| item.value(slot).is_text_or_scalar().then(|| item.text(slot)).flatten();
    let made = |text, source| DistinctId { text, source };
    if endpoint == Endpoint::Groups {
        return made(None, IdSource::Nowhere);
    }
    if let text @ Some(_) = item.text(slot::DISTINCT_ID) {
        return made(text, IdSource::Record);
    }
    if let text @ Some(_) = full(slot::USER_ID) {
        return made(text, IdSource::UserId);
    }
    match full(slot::DEVICE_ID) {
        text @ Some(_) => made(text, IdSource::DeviceId),
        None => made(None, IdSource::Nowhere),
    }
}

fn insert_id<'a>(item: &Item<'a>) -> (Option<Text<'a>>, InsertSource) {
    if let id @ Some(_) = item.text_or_number(slot::INSERT_ID) {
        return (id, InsertSource::Client);
    }
    match item.text_or_number(slot::METADATA_EVENT_ID) {
        id @ Some(_) => (id, InsertSource::Metadata),
        None => (None, InsertSource::Generated),
    }
}

/// What the log and the table need to know of a record that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the whole record.
    pub length: usize,
    /// Its flags.
    pub flags: u16,
    /// murmur2 over its key.
    pub key_hash: i32,
}

/// One accepted record, ready to be written.
pub struct Accepted<'a> {
    item: &'a Item<'a>,
    request: &'a Request<'a>,
    token: Option<Text<'a>>,
    index: usize,
    moment: Moment,
    distinct_id: DistinctId<'a>,
    insert_id: Option<Text<'a>>,
    insert_id_source: InsertSource,
}

impl<'a> Accepted<'a> {
    /// Gathers what the record says; `index` is its place in the payload.
    pub fn new(
        item: &'a Item<'a>,
        request: &'a Request<'a>,
        token: Option<Text<'a>>,
        moment: Moment,
        index: usize,
    ) -> Self {
        let distinct_id = distinct_id(item, request.envelope.endpoint);
        let (insert_id, insert_id_source) = insert_id(item);
        Self { item, request, token, index, moment, distinct_id, insert_id, insert_id_source }
    }

    /// At least as many bytes as [`Accepted::write`] will write.
    pub fn bytes_max(&self) -> usize {
        /// Records up to this length are not worth a closer look at their texts.
        const SMALL: usize = 1024;
        /// Token, ids and group, each in key and envelope.
        const TEXTS_MAX: usize = 5 * 2;
        let Self { item, request, .. } = self;
        let envelope = &request.envelope;
        let context = envelope.request_id.len() * 3
            + envelope.ip_json.len()
            + envelope.ua_json.len()
            + envelope.project_id_json.len()
            + envelope.auth_token.len() * (1 + ESCAPE_BYTES_MAX);
        let length = item.raw().len();
        let texts = if length <= SMALL && !item.notes.special {
            // Whatever does not come from the context is a part of the record as it stands.
            length * TEXTS_MAX
        } else {
            self.texts_bytes_max()
        };
        let record = compact_bytes_max(length, item.notes, item.is_utf8);
        FIXED_BYTES_MAX + context + LIB_BYTES_MAX * ESCAPE_BYTES_MAX + texts + record
    }

    /// The same of the texts alone: once in the key, once in the envelope.
    #[inline(never)]
    fn texts_bytes_max(&self) -> usize {
        let twice = |text: Option<Text>| match text {
            Some(Text { bytes, is_plain: true }) => bytes.len() * 2,
            Some(Text { bytes, is_plain: false }) => bytes.len() * (1 + ESCAPE_BYTES_MAX),
            None => 0,
        };
        let group = [self.item.text(slot::GROUP_KEY), self.item.text(slot::GROUP_ID)];
        let own = [self.token, self.distinct_id.text, self.insert_id];
        own.into_iter().chain(group).map(twice).sum()
    }

    /// Writes the record.
    pub fn write(&self, out: &mut Writer) -> Written {
        let flags = self.flags();
        out.skip(RECORD_HEADER_BYTES);
        self.put_key(out);
        let key_end = out.length();
        self.put_envelope(out, flags);
        // Not before: the processor waits when what was written in pieces is read in others a moment later.
        let key = &out.since(RECORD_HEADER_BYTES)[..key_end - RECORD_HEADER_BYTES];
        let (key_hash, key_length) = (murmur2(key), key.len());
        let length = out.length();
        self.put_header(out, [length, key_length], flags, key_hash);
        Written { length, flags, key_hash }
    }

    fn flags(&self) -> u16 {
        let Item { notes, is_utf8, .. } = *self.item;
        let when = |condition: bool, flag: u16| if condition { flag } else { 0 };
        self.moment.flags
            | when(!is_utf8, flag::UTF8_REPAIRED)
            | when(notes.lone_surrogate, flag::SURROGATE_REPAIRED)
            | when(notes.nan, flag::NAN_REPLACED)
            | when(self.request.params.test, flag::TEST)
            | when(self.request.envelope.replayed, flag::REPLAYED)
    }

    fn put_header(&self, out: &mut Writer, [length, key_length]: [usize; 2], flags: u16, key_hash: i32) {
        let token_length = self.token.map_or(0, |token| token.bytes.len());
        let mut header = [0; RECORD_HEADER_BYTES];
        header[0..4].copy_from_slice(&(length as u32).to_le_bytes());
        header[4] = self.request.envelope.endpoint as u8;
        header[6..8].copy_from_slice(&flags.to_le_bytes());
        header[8..12].copy_from_slice(&key_hash.to_le_bytes());
        header[12..16].copy_from_slice(&(token_length as u32).to_le_bytes());
        header[16..20].copy_from_slice(&(key_length as u32).to_le_bytes());
        out.patch(0, &header);
    }

    fn put_key(&self, out: &mut Writer) {
        let bytes = |text: Option<Text<'a>>| text.map_or(&[][..], |text| text.bytes);
        out.put(bytes(self.token));
        out.put(b":");
        if self.request.envelope.endpoint == Endpoint::Groups {
            out.put(bytes(self.item.text(slot::GROUP_KEY)));
            out.put(b":");
            return out.put(bytes(self.item.text(slot::GROUP_ID)));
        }
        match (self.distinct_id.text, self.insert_id) {
            (Some(text), _) if !text.bytes.is_empty() => {
                out.put(self.distinct_id.source.prefix());
                out.put(text.bytes);
            }
            (_, Some(id)) => out.put(id.bytes),
            (_, None) => self.put_generated_id(out),
        }
    }

    fn put_generated_id(&self, out: &mut Writer) {
        out.put(self.request.envelope.request_id);
        out.put(b"-");
        out.put(Digits::default().of(self.index as i64));
    }

    fn put_envelope(&self, out: &mut Writer, flags: u16) {
        let envelope = &self.request.envelope;
        // Whole fragments of constant length become a few stores each.
        match envelope.endpoint {
            Endpoint::Track => out.put(b"{\"v\":1,\"kind\":\"track\",\"token\":"),
            Endpoint::Engage => out.put(b"{\"v\":1,\"kind\":\"engage\",\"token\":"),
            Endpoint::Groups => out.put(b"{\"v\":1,\"kind\":\"groups\",\"token\":"),
            Endpoint::Import => out.put(b"{\"v\":1,\"kind\":\"import\",\"token\":"),
        }
        put_text_or_null(out, self.token);
        out.put(b",\"project_id\":");
        out.put(envelope.project_id_json);
        out.put(b",\"received_ms\":");
        out.integer(envelope.received_ms);
        out.put(b",\"request_id\":\"");
        out.put(envelope.request_id);
        out.put(b"\",\"index\":");
        out.integer(self.index as i64);
        self.put_client(out);
        self.put_insert_id(out);
        self.put_distinct_id(out);
        out.integer(self.moment.ms);
        if flags == 0 {
            out.put(b",\"flags\":[],\"record\":");
        } else {
            put_flags(out, flags);
            out.put(b",\"record\":");
        }
        put_compact(self.item, out);
        out.put(b"}");
    }

    /// `ip`, `geo`, `ua`, `lib`
    fn put_client(&self, out: &mut Writer) {
        let envelope = &self.request.envelope;
        let param = self.request.params.ip;
        let address = address(self.item);
        let is_refused = param == Some(false) || matches!(address, Address::Refused);
        let is_stored = match self.request.options.store_ip {
            StoreIp::UnlessRefused => !is_refused,
            StoreIp::Always => true,
            StoreIp::Never => false,
        };
        out.put(b",\"ip\":");
        out.put(if is_stored { envelope.ip_json } else { b"null" });
        match (address, param) {
            (Address::Valid, _) => out.put(b",\"geo\":\"property\",\"ua\":"),
            (Address::Refused, _) | (_, Some(false)) => out.put(b",\"geo\":\"none\",\"ua\":"),
            (_, None) if envelope.endpoint.has_events() => out.put(b",\"geo\":\"none\",\"ua\":"),
            _ => out.put(b",\"geo\":\"request\",\"ua\":"),
        }
        out.put(envelope.ua_json);
        out.put(b",\"lib\":");
        self.put_lib(out);
    }

    fn put_lib(&self, out: &mut Writer) {
        let has_events = self.request.envelope.endpoint.has_events();
        let Some(lib) = self.item.full_string(slot::LIB).filter(|_| has_events) else {
            return out.put(b"null");
        };
        let Some(version) = self.item.full_string(slot::LIB_VERSION) else {
            return out.string(Text { bytes: cut(lib.bytes, LIB_BYTES_MAX), ..lib });
        };
        let is_plain = lib.is_plain && version.is_plain;
        if is_plain && lib.bytes.len() + 1 + version.bytes.len() <= LIB_BYTES_MAX {
            for part in [b"\"", lib.bytes, b"/", version.bytes, b"\""] {
                out.put(part);
            }
            return;
        }
        let mut whole = [0; LIB_BYTES_MAX + 1];
        let mut length = 0;
        for part in [lib.bytes, b"/", version.bytes] {
            // One byte more than will be kept shows whether the last character is whole.
            let part = &part[..part.len().min(whole.len() - length)];
            whole[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        out.string(Text { bytes: cut(&whole[..length], LIB_BYTES_MAX), is_plain });
    }

    /// `insert_id` with its source, up to the value of `distinct_id`.
    fn put_insert_id(&self, out: &mut Writer) {
        out.put(b",\"insert_id\":");
        if let Some(id) = self.insert_id {
            out.string(id);
        } else {
            out.put(b"\"");
            self.put_generated_id(out);
            out.put(b"\"");
        }
        match self.insert_id_source {
            InsertSource::Client => out.put(b",\"insert_id_source\":\"client\",\"distinct_id\":"),
            InsertSource::Metadata => out.put(b",\"insert_id_source\":\"mp_metadata\",\"distinct_id\":"),
            InsertSource::Generated => out.put(b",\"insert_id_source\":\"generated\",\"distinct_id\":"),
        }
    }

    /// The value of `distinct_id` with its source, up to the value of `time_ms`.
    fn put_distinct_id(&self, out: &mut Writer) {
        let DistinctId { text, source } = self.distinct_id;
        match text {
            Some(text) if source == IdSource::DeviceId => put_prefixed(out, source.prefix(), text),
            text => put_text_or_null(out, text),
        }
        match source {
            IdSource::Record => out.put(b",\"distinct_id_source\":\"record\",\"time_ms\":"),
            IdSource::UserId => out.put(b",\"distinct_id_source\":\"user_id\",\"time_ms\":"),
            IdSource::DeviceId => out.put(b",\"distinct_id_source\":\"device_id\",\"time_ms\":"),
            IdSource::Nowhere => out.put(b",\"distinct_id_source\":\"none\",\"time_ms\":"),
        }
    }
}

fn put_text_or_null(out: &mut Writer, text: Option<Text>) {
    match text {
        Some(text) => out.string(text),
        None => out.put(b"null"),
    }
}

/// A string whose value begins with something plain.
fn put_prefixed(out: &mut Writer, prefix: &[u8], text: Text) {
    out.put(b"\"");
    out.put(prefix);
    if text.is_plain {
        out.put(text.bytes);
    } else {
        crate::text::put_escaped(text.bytes, out);
    }
    out.put(b"\"");
}

fn put_flags(out: &mut Writer, flags: u16) {
    out.put(b",\"flags\":[");
    let mut separator: &[u8] = b"\"";
    for (bit, name) in flag::NAMES.iter().enumerate() {
        if flags & 1 << bit != 0 {
            out.put(separator);
            out.put(name);
            out.put(b"\"");
            separator = b",\"";
        }
    }
    out.put(b"]");
}
