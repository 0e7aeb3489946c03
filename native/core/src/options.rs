//! What is fixed for a decoder's life, and the small enums of a request.

/// The four ingest endpoints; the number is the kind of the records they make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/track`
    Track = 0,
    /// `/engage`
    Engage = 1,
    /// `/groups`
    Groups = 2,
    /// `/import`
    Import = 3,
}

impl Endpoint {
    /// By its number in the table.
    pub(crate) fn from_int(value: i32) -> Self {
        match value {
            0 => Self::Track,
            1 => Self::Engage,
            2 => Self::Groups,
            3 => Self::Import,
            _ => unreachable!("endpoint {value}"),
        }
    }

    /// Track and import carry events, the others profile updates.
    pub(crate) fn has_events(self) -> bool {
        matches!(self, Self::Track | Self::Import)
    }
}

/// How the body's media type is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Unknown: its first bytes decide.
    Sniff = 0,
    /// `application/x-www-form-urlencoded`
    Form = 1,
    /// JSON
    Json = 2,
    /// One JSON value a line.
    Ndjson = 3,
    /// There is no body.
    None = 4,
}

impl Content {
    /// By its number in the table.
    pub(crate) fn from_int(value: i32) -> Self {
        match value {
            0 => Self::Sniff,
            1 => Self::Form,
            2 => Self::Json,
            3 => Self::Ndjson,
            4 => Self::None,
            _ => unreachable!("content {value}"),
        }
    }
}

/// When the client's address is stored in the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreIp {
    /// Unless the request or the record refuses it.
    UnlessRefused = 0,
    /// Always.
    Always = 1,
    /// Never.
    Never = 2,
}

impl StoreIp {
    /// By its number in TypeScript; `None` for a number that has no meaning.
    #[must_use]
    pub fn from_int(value: u32) -> Option<Self> {
        match value {
            0 => Some(Self::UnlessRefused),
            1 => Some(Self::Always),
            2 => Some(Self::Never),
            _ => None,
        }
    }
}

/// What is fixed for a decoder's life; see `DecoderOptions` in `src/decode/decoder.ts`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Records a request may hold.
    pub records_max: usize,
    /// Bytes of one record's text.
    pub record_bytes_max: usize,
    /// Bytes of records that one request may make.
    pub output_bytes_max: usize,
    /// When the client's address is stored.
    pub store_ip: StoreIp,
    /// Events older than five days are ignored instead of flagged.
    pub drop_late: bool,
    /// The tokens of the tokens file; `None` in open mode.
    pub tokens_allowed: Option<Vec<Vec<u8>>>,
    /// Token ids handed out before further tokens share id 0.
    pub tokens_max: usize,
    /// For the token table's hashes, so that nobody outside can make tokens collide.
    pub hash_seed: u64,
    /// For tests alone: a body that holds these bytes makes the decoder panic.
    pub panic_on: Option<Vec<u8>>,
}
