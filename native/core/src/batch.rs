//! The table that a decode fills: a header, then one row of integers a record.
//!
//! The same numbers stand in `src/decode/decoder.ts`; the addon hands out [`layout`] so that a test can compare them.

/// Integers in front of the first row.
pub const HEADER_INTS: usize = 64;
/// Integers a row.
pub const ROW_INTS: usize = 16;
/// Bytes in front of a log record's key (`src/record.ts`).
pub const RECORD_HEADER_BYTES: usize = 20;

/// Declares the indices of one group and lists them by the names that TypeScript uses.
macro_rules! indices {
    ($(#[$docs:meta])* $module:ident $names:ident $group:literal { $($(#[$doc:meta])* $name:ident $text:literal = $value:literal,)* }) => {
        $(#[$docs])*
        pub mod $module {
            $($(#[$doc])* #[doc = concat!("`", $group, ".", $text, "`")] pub const $name: usize = $value;)*
        }
        const $names: &[(&str, usize)] = &[$((concat!($group, ".", $text), $value),)*];
    };
}

indices! {
    /// Where the header's numbers lie. Indices 0 and 1 hold a Float64: the time of receipt in ms.
    header HEADER_NAMES "Header" {
        ENDPOINT "endpoint" = 2,
        CONTENT "content" = 3,
        /// Bit 0: replayed.
        SWITCHES "switches" = 4,
        QUERY_LENGTH "queryLength" = 5,
        REQUEST_ID_LENGTH "requestIdLength" = 6,
        IP_JSON_LENGTH "ipJsonLength" = 7,
        UA_JSON_LENGTH "uaJsonLength" = 8,
        PROJECT_ID_JSON_LENGTH "projectIdJsonLength" = 9,
        AUTH_TOKEN_LENGTH "authTokenLength" = 10,
        ROOM_POSITION "roomPosition" = 11,
        ROOM_END "roomEnd" = 12,
        STATUS "status" = 16,
        BYTES_NEEDED "bytesNeeded" = 17,
        END "end" = 18,
        RECEIVED "received" = 19,
        ACCEPTED "accepted" = 20,
        REJECTED "rejected" = 21,
        IGNORED "ignored" = 22,
        ROWS "rows" = 23,
        PARAMS "params" = 24,
        UNDECODABLE "undecodable" = 25,
        PAYLOAD_SOURCE "payloadSource" = 26,
        PAYLOAD_START "payloadStart" = 27,
        PAYLOAD_LENGTH "payloadLength" = 28,
        RECORD_COUNT "recordCount" = 29,
        TOKEN_COUNT "tokenCount" = 30,
        FIRST_REJECTED "firstRejected" = 31,
    }
}

indices! {
    /// Where a row's numbers lie.
    row ROW_NAMES "Row" {
        OUTCOME "outcome" = 0,
        POSITION "position" = 1,
        LENGTH "length" = 2,
        FLAGS "flags" = 3,
        TOKEN_ID "tokenId" = 4,
        KEY_HASH "keyHash" = 5,
        PROBLEM "problem" = 6,
        PROBLEM_OFFSET "problemOffset" = 7,
        MEMBER_START "memberStart" = 8,
        MEMBER_LENGTH "memberLength" = 9,
        RAW_START "rawStart" = 10,
        RAW_LENGTH "rawLength" = 11,
        INSERT_ID_START "insertIdStart" = 12,
        INSERT_ID_LENGTH "insertIdLength" = 13,
    }
}

indices! {
    /// Bits of the header's `params`.
    param PARAM_NAMES "Param" {
        VERBOSE_1 "verbose1" = 1,
        VERBOSE_2 "verbose2" = 2,
        STRICT "strict" = 4,
        IMG "img" = 8,
        CALLBACK "callback" = 16,
        REDIRECT "redirect" = 32,
    }
}

indices! {
    /// What a decode answers.
    status STATUS_NAMES "Status" {
        OK "ok" = 0,
        NEEDS_ROOM "needsRoom" = 1,
        PANICKED "panicked" = 2,
    }
}

/// What became of a record.
pub mod outcome {
    /// It was written.
    pub const ACCEPTED: i32 = 0;
    /// It breaks a rule.
    pub const REJECTED: i32 = 1;
    /// It is fine, but nothing is kept of it.
    pub const IGNORED: i32 = 2;
}

/// Every constant that both sides must agree on, by its dotted name.
pub fn layout() -> impl Iterator<Item = (&'static str, usize)> {
    let sizes =
        [("HEADER_INTS", HEADER_INTS), ("ROW_INTS", ROW_INTS), ("RECORD_HEADER_BYTES", RECORD_HEADER_BYTES)];
    let groups = [HEADER_NAMES, ROW_NAMES, PARAM_NAMES, STATUS_NAMES];
    sizes.into_iter().chain(groups.into_iter().flatten().copied())
}

/// The table's memory with names for its parts.
pub(crate) struct Table<'t> {
    ints: &'t mut [i32],
}

impl<'t> Table<'t> {
    /// Takes the memory of [`HEADER_INTS`] and [`ROW_INTS`] for each record.
    pub fn new(ints: &'t mut [i32]) -> Self {
        assert!(ints.len() >= HEADER_INTS, "the table is smaller than its header");
        Self { ints }
    }

    /// A header number that the caller wrote; lengths and positions are never negative.
    pub fn length(&self, index: usize) -> usize {
        usize::try_from(self.ints[index]).expect("lengths are not negative")
    }

    /// A header number as it stands.
    pub fn get(&self, index: usize) -> i32 {
        self.ints[index]
    }

    /// The Float64 in front.
    pub fn received_ms(&self) -> f64 {
        let halves = [self.ints[0].to_ne_bytes(), self.ints[1].to_ne_bytes()];
        f64::from_ne_bytes(halves.concat_array())
    }

    /// Writes a header number.
    pub fn set(&mut self, index: usize, value: usize) {
        self.ints[index] = value as i32;
    }

    /// Writes a header number that may be negative.
    pub fn set_int(&mut self, index: usize, value: i32) {
        self.ints[index] = value;
    }

    /// One record's row.
    pub fn row(&mut self, index: usize) -> &mut [i32; ROW_INTS] {
        let start = HEADER_INTS + index * ROW_INTS;
        (&mut self.ints[start..start + ROW_INTS]).try_into().expect("a row has ROW_INTS integers")
    }
}

/// Two halves of a Float64, put together.
trait ConcatArray {
    fn concat_array(self) -> [u8; 8];
}

impl ConcatArray for [[u8; 4]; 2] {
    fn concat_array(self) -> [u8; 8] {
        let mut whole = [0; 8];
        whole[..4].copy_from_slice(&self[0]);
        whole[4..].copy_from_slice(&self[1]);
        whole
    }
}
