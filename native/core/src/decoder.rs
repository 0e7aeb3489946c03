//! The decoder: one synchronous pass from body bytes to finished log records in the caller's room.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::batch::{HEADER_INTS, ROW_INTS, Table, header, row, status};
use crate::body::{self, Source};
use crate::intern::Interner;
use crate::json::Workspace;
use crate::options::Options;
use crate::records::{Failure, Memory, Records, Totals, start_row};
use crate::request::{Envelope, Request};

/// Beyond the payload the decoder may write whole words into the scratch buffer.
pub const SCRATCH_BYTES_MORE: usize = 64;

/// One call's memory. Input and output are laid out as `src/decode/decoder.ts` says.
pub struct Call<'c> {
    /// Header and rows.
    pub table: &'c mut [i32],
    /// The context's texts, request id and query, back to back.
    pub input: &'c [u8],
    /// Where a payload is decoded to; longer than body and query by [`SCRATCH_BYTES_MORE`].
    pub scratch: &'c mut [u8],
    /// The request's body.
    pub body: &'c [u8],
    /// The buffer that holds the room.
    pub batch: &'c mut [u8],
}

/// Decodes requests. One for each thread.
pub struct Decoder {
    options: Options,
    /// Tokens and their ids.
    pub tokens: Interner,
    memory: Memory,
    work: Workspace,
}

impl Decoder {
    /// A decoder that knows the configured tokens.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let mut tokens = Interner::new(options.tokens_max, options.hash_seed);
        for token in options.tokens_allowed.iter().flatten() {
            tokens.allow(token);
        }
        Self { options, tokens, memory: Memory::default(), work: Workspace::default() }
    }

    /// Integers that the table must have.
    #[must_use]
    pub fn table_ints(&self) -> usize {
        HEADER_INTS + ROW_INTS * self.options.records_max
    }

    /// Decodes one request; returns the header's status.
    ///
    /// A panic, which numbers that make no sense lead to as well, is caught: no token got an id, nothing counts as
    /// written, and the header says so. What may have changed are the table's rows, the scratch buffer, and bytes of the
    /// room itself; never anything outside of it.
    pub fn decode(&mut self, call: Call) -> i32 {
        let Call { table, input, scratch, body, batch } = call;
        let guarded = AssertUnwindSafe(|| {
            self.decode_unguarded(Call { table: &mut *table, input, scratch, body, batch })
        });
        catch_unwind(guarded).unwrap_or_else(|_| {
            if let Some(totals) = table.get_mut(header::STATUS..HEADER_INTS) {
                totals.fill(0);
                totals[0] = status::PANICKED as i32;
                totals[header::FIRST_REJECTED - header::STATUS] = -1;
            }
            status::PANICKED as i32
        })
    }

    fn decode_unguarded(&mut self, call: Call) -> i32 {
        let Call { table, input, scratch, body, batch } = call;
        assert!(i32::try_from(body.len()).is_ok(), "positions are 32-bit integers");
        self.panic_if_asked(body);
        self.memory.clear();
        let mut table = Table::new(table);
        let envelope = Envelope::read(&table, input);
        assert!(
            body.len().max(envelope.query.len()) + SCRATCH_BYTES_MORE <= scratch.len(),
            "scratch too small"
        );
        let (params, payload) =
            body::locate(envelope.endpoint, envelope.content, envelope.query, body, scratch);
        let memory = if payload.source == Source::Body { body } else { &*scratch };
        let bytes = &memory[payload.start..payload.end];
        table.set(header::PAYLOAD_SOURCE, payload.source as usize);
        table.set(header::PAYLOAD_START, payload.start);
        table.set(header::PAYLOAD_LENGTH, bytes.len());
        table.set_int(header::PARAMS, params.bits);
        let strict = params.bits & crate::batch::param::STRICT as i32 != 0;
        let request = Request { envelope, params, strict, options: &self.options, tokens: &self.tokens };
        let position = table.length(header::ROOM_POSITION);
        let room = &mut batch[position..table.length(header::ROOM_END)];
        let room_length = room.len();
        let mut totals = Totals::default();
        let mut records = Records {
            request: &request,
            payload: bytes,
            table: &mut table,
            room,
            room_position: position,
            memory: &mut self.memory,
            totals: &mut totals,
        };
        let result = match payload.problem {
            Some((problem, offset)) => Err(Failure::new(problem, offset)),
            None => records.read(payload.shape, &mut self.work),
        };
        match result {
            Ok(()) => self.finish(&mut table, &totals, room_length),
            Err(failure) => self.fail(&mut table, failure, bytes.len()),
        }
    }

    fn panic_if_asked(&self, body: &[u8]) {
        if let Some(marker) = &self.options.panic_on {
            let is_found = body.windows(marker.len().max(1)).any(|window| window == marker);
            assert!(!is_found, "asked to panic by a test");
        }
    }

    /// The records were read: says so, or that the room is too small.
    fn finish(&mut self, table: &mut Table, totals: &Totals, room_length: usize) -> i32 {
        if totals.bytes > room_length {
            write_totals(table, status::NEEDS_ROOM, &Totals::default());
            table.set(header::BYTES_NEEDED, totals.bytes);
            table.set(header::TOKEN_COUNT, self.tokens.count());
            return status::NEEDS_ROOM as i32;
        }
        write_totals(table, status::OK, totals);
        // Last, since nothing takes an id back: it cannot panic, its rows have been written before.
        self.intern_pending(table);
        table.set(header::TOKEN_COUNT, self.tokens.count());
        status::OK as i32
    }

    /// The payload could not be taken apart: one row stands for all of it.
    fn fail(&self, table: &mut Table, failure: Failure, payload_length: usize) -> i32 {
        let row = table.row(0);
        start_row(row, 0, payload_length);
        row[row::OUTCOME] = crate::batch::outcome::REJECTED;
        row[row::PROBLEM] = failure.problem as i32;
        row[row::PROBLEM_OFFSET] = failure.offset;
        let totals = Totals { count: 1, bytes: 0, outcomes: [0, 1, 0], first_rejected: Some(0) };
        write_totals(table, status::OK, &totals);
        table.set(header::UNDECODABLE, 1);
        table.set(header::RECORD_COUNT, failure.record_count);
        table.set(header::TOKEN_COUNT, self.tokens.count());
        status::OK as i32
    }

    /// Gives ids to tokens that were seen for the first time, in row order.
    fn intern_pending(&mut self, table: &mut Table) {
        let pending = &self.memory.pending;
        let mut start = 0;
        for &(index, end) in &pending.rows {
            let id = self.tokens.intern(&pending.bytes[start..end]);
            table.row(index)[row::TOKEN_ID] = id as i32;
            start = end;
        }
    }
}

fn write_totals(table: &mut Table, status: usize, totals: &Totals) {
    let Totals { count, bytes, outcomes: [accepted, rejected, ignored], first_rejected } = *totals;
    table.set(header::STATUS, status);
    table.set(header::BYTES_NEEDED, bytes);
    table.set(header::END, table.length(header::ROOM_POSITION) + bytes);
    table.set(header::RECEIVED, count);
    table.set(header::ACCEPTED, accepted);
    table.set(header::REJECTED, rejected);
    table.set(header::IGNORED, ignored);
    table.set(header::ROWS, count);
    table.set(header::UNDECODABLE, 0);
    table.set(header::RECORD_COUNT, count);
    table.set_int(header::FIRST_REJECTED, first_rejected.map_or(-1, |index| index as i32));
}
