//! From the payload to rows and records (docs/DECODING.md 3): finds the records, judges each, writes the accepted ones.

use crate::batch::{ROW_INTS, Table, outcome, row};
use crate::body::Shape;
use crate::intern::{TOKEN_BYTES_MAX, TOKEN_NONE, TOKEN_SHARED};
use crate::json::value::Value;
use crate::json::{Found, Scanner, SyntaxError, Workspace, slot};
use crate::problem::Problem;
use crate::record::envelope::Accepted;
use crate::record::item::{Arena, Item, Text};
use crate::record::writer::Writer;
use crate::request::Request;
use crate::rules::{Fate, Fault, Judge};
use crate::text::{trim, trim_blanks};

/// Memory that is kept from request to request.
#[derive(Default)]
pub struct Memory {
    /// The members of the record at hand; each record begins them anew.
    found: Found,
    arena: Arena,
    /// Where a record is written when the room may be too small for it.
    spill: Vec<u8>,
    /// Tokens to be interned once the request is decoded.
    pub pending: Pending,
}

/// Tokens that have no id yet.
#[derive(Default)]
pub struct Pending {
    /// The tokens' bytes, back to back.
    pub bytes: Vec<u8>,
    /// The rows that wait for them, and where each row's token ends in `bytes`.
    pub rows: Vec<(usize, usize)>,
}

impl Pending {
    fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }
}

/// Bytes beyond which the spill is given back after a request.
const SPILL_BYTES_KEPT_MAX: usize = 1 << 20;

impl Memory {
    /// Forgets the request before.
    pub fn clear(&mut self) {
        self.pending.clear();
        if self.spill.len() > SPILL_BYTES_KEPT_MAX {
            self.spill = Vec::new();
        }
    }
}

/// Why a payload has no rows of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong.
    pub problem: Problem,
    /// The byte at fault, -1 for none.
    pub offset: i32,
    /// Records counted, where there are too many or they are too large.
    pub record_count: usize,
}

impl Failure {
    /// With a byte at fault, or -1.
    pub fn new(problem: Problem, offset: i32) -> Self {
        Self { problem, offset, record_count: 0 }
    }
}

impl From<SyntaxError> for Failure {
    fn from(error: SyntaxError) -> Self {
        Self::new(Problem::JsonInvalid, error.offset as i32)
    }
}

/// What a request's records came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records found.
    pub count: usize,
    /// Bytes of the accepted ones.
    pub bytes: usize,
    /// Rows by outcome.
    pub outcomes: [usize; 3],
    /// The first row that was rejected.
    pub first_rejected: Option<usize>,
}

/// One request's records on their way into table and room.
pub struct Records<'a, 't> {
    /// The request.
    pub request: &'a Request<'a>,
    /// The bytes that hold the JSON text.
    pub payload: &'a [u8],
    /// Where the rows go.
    pub table: &'a mut Table<'t>,
    /// Where the records go.
    pub room: &'a mut [u8],
    /// Index of the room's first byte in the caller's buffer.
    pub room_position: usize,
    /// Memory to work in.
    pub memory: &'a mut Memory,
    /// What was found and written so far. Not a part of this: a copy of what was counted a moment ago has to wait.
    pub totals: &'a mut Totals,
}

impl Records<'_, '_> {
    /// Reads the whole payload.
    pub fn read(&mut self, shape: Shape, work: &mut Workspace) -> Result<(), Failure> {
        let (start, end) = trim(self.payload);
        if start == end {
            return Err(Failure::new(Problem::DataMissing, -1));
        }
        match shape {
            Shape::Lines => self.lines(start, end, work),
            Shape::Json => self.json(start, end, work)?,
            Shape::JsonOrLines => match self.json(start, end, work) {
                Err(failure) if failure.problem == Problem::JsonInvalid => {
                    if !self.is_lines(start, end, work) {
                        return Err(failure);
                    }
                    *self.totals = Totals::default();
                    self.memory.pending.clear();
                    self.lines(start, end, work);
                }
                other => other?,
            },
        }
        self.check_limits()
    }

    fn check_limits(&self) -> Result<(), Failure> {
        let Totals { count, bytes, .. } = *self.totals;
        let options = self.request.options;
        let problem = if count == 0 {
            return Err(Failure::new(Problem::DataMissing, -1));
        } else if count > options.records_max {
            Problem::TooManyRecords
        } else if bytes > options.output_bytes_max {
            Problem::OutputTooLarge
        } else {
            return Ok(());
        };
        Err(Failure { record_count: count, ..Failure::new(problem, -1) })
    }

    fn scanner<'s>(&self, end: usize, work: &'s mut Workspace) -> Scanner<'s>
    where
        Self: 's,
    {
        Scanner::new(&self.payload[..end], !self.request.strict, work)
    }

    /// One JSON value from `start` to `end`.
    fn json(&mut self, start: usize, end: usize, work: &mut Workspace) -> Result<(), Failure> {
        let mut scanner = Scanner::new(&self.payload[..end], !self.request.strict, work);
        let is_record = self.payload[start] == b'{';
        let is_list = self.payload[start] == b'[';
        let behind = if is_record {
            self.record(&mut scanner, start)?
        } else if is_list {
            self.list(&mut scanner, start)?
        } else {
            scanner.value(start, 1)?.end as usize
        };
        check_end(&mut scanner, behind, end)?;
        if is_record || is_list {
            Ok(())
        } else {
            Err(Failure::new(Problem::PayloadNotRecords, start as i32))
        }
    }

    /// The root list; returns the index behind it.
    fn list(&mut self, scanner: &mut Scanner, start: usize) -> Result<usize, SyntaxError> {
        let mut at = scanner.skip_blanks(start + 1);
        if scanner.peek(at) == Some(b']') {
            return Ok(at + 1);
        }
        loop {
            let end = self.element(scanner, at)?;
            at = scanner.skip_blanks(end);
            match scanner.peek(at) {
                Some(b',') => at = scanner.skip_blanks(at + 1),
                Some(b']') => return Ok(at + 1),
                _ => return Err(SyntaxError { offset: at }),
            }
        }
    }

    /// One element of the root list; returns the index behind it.
    fn element(&mut self, scanner: &mut Scanner, at: usize) -> Result<usize, SyntaxError> {
        if scanner.peek(at) == Some(b'{') {
            return self.record(scanner, at);
        }
        let value = scanner.value(at, 1)?;
        self.reject_text(value, Fault::new(Problem::RecordNotObject, at));
        Ok(value.end as usize)
    }

    /// An object; returns the index behind it.
    fn record(&mut self, scanner: &mut Scanner, at: usize) -> Result<usize, SyntaxError> {
        let end = scanner.record(at, self.request.envelope.endpoint, &mut self.memory.found)?;
        if let Some(index) = self.next_index() {
            self.take(index, scanner);
        }
        Ok(end)
    }

    /// Every line that is not blank.
    fn lines(&mut self, start: usize, end: usize, work: &mut Workspace) {
        let mut next = start;
        while let Some((from, to)) = next_line(self.payload, &mut next, end) {
            if self.totals.count >= self.request.options.records_max {
                self.totals.count += 1;
                continue;
            }
            let mut scanner = Scanner::new(&self.payload[..to], !self.request.strict, work);
            if let Err(SyntaxError { offset }) = self.line(&mut scanner, from, to) {
                let text = Value { start: from as u32, end: to as u32, ..Value::ABSENT };
                self.reject_text(text, Fault::new(Problem::JsonInvalid, offset));
            }
        }
    }

    /// One line: a record only if nothing follows it.
    fn line(&mut self, scanner: &mut Scanner, from: usize, to: usize) -> Result<(), SyntaxError> {
        if scanner.peek(from) != Some(b'{') {
            let value = check_line(scanner, from, to)?;
            self.reject_text(value, Fault::new(Problem::RecordNotObject, from));
            return Ok(());
        }
        let end = scanner.record(from, self.request.envelope.endpoint, &mut self.memory.found)?;
        check_end(scanner, end, to)?;
        if let Some(index) = self.next_index() {
            self.take(index, scanner);
        }
        Ok(())
    }

    /// The first line alone is one complete value, and there is a second.
    fn is_lines(&self, start: usize, end: usize, work: &mut Workspace) -> bool {
        let mut next = start;
        let Some((from, to)) = next_line(self.payload, &mut next, end) else { return false };
        let is_first_valid = check_line(&mut self.scanner(to, work), from, to).is_ok();
        is_first_valid && next_line(self.payload, &mut next, end).is_some()
    }

    /// Counts a record; `None` when it is one too many, or the output is too large already.
    fn next_index(&mut self) -> Option<usize> {
        let index = self.totals.count;
        self.totals.count += 1;
        let options = self.request.options;
        let is_wanted = index < options.records_max && self.totals.bytes <= options.output_bytes_max;
        is_wanted.then_some(index)
    }

    /// Judges the record in `found` and writes it or says why not.
    fn take(&mut self, index: usize, scanner: &Scanner) {
        let notes = &scanner.notes;
        let Memory { found, arena, spill, pending } = &mut *self.memory;
        let is_utf8 = arena.settle(self.payload, found, notes);
        let gaps = scanner.gaps();
        let item = Item { payload: self.payload, found, notes, gaps, is_utf8, arena };
        let mut judge = Judge::new(&item, self.request);
        let verdict = judge.judge();
        let token = judge.token;
        let row = self.table.row(index);
        start_row(row, item.found.start, item.found.end);
        row[row::TOKEN_ID] = token_id(self.request, token, index, pending) as i32;
        match verdict {
            Ok(Fate::Accepted(moment)) => {
                let accepted = Accepted::new(&item, self.request, token, moment, index);
                let position = self.room_position + self.totals.bytes;
                self.totals.bytes += write(&accepted, self.room, self.totals.bytes, spill, row);
                row[row::POSITION] = position as i32;
                self.totals.outcomes[0] += 1;
            }
            Ok(Fate::Ignored) => {
                row[row::OUTCOME] = outcome::IGNORED;
                self.totals.outcomes[2] += 1;
            }
            Err(fault) => {
                reject_row(row, fault);
                let insert_id = item.value(slot::INSERT_ID);
                if insert_id.is_scalar() {
                    row[row::INSERT_ID_START] = insert_id.start as i32;
                    row[row::INSERT_ID_LENGTH] = (insert_id.end - insert_id.start) as i32;
                }
                self.count_rejected(index);
            }
        }
    }

    /// A record that is no object.
    fn reject_text(&mut self, text: Value, fault: Fault) {
        let Some(index) = self.next_index() else { return };
        let row = self.table.row(index);
        start_row(row, text.start as usize, text.end as usize);
        reject_row(row, fault);
        self.count_rejected(index);
    }

    fn count_rejected(&mut self, index: usize) {
        self.totals.outcomes[1] += 1;
        self.totals.first_rejected.get_or_insert(index);
    }
}

/// One complete value from `from` to `to`.
fn check_line(scanner: &mut Scanner, from: usize, to: usize) -> Result<Value, SyntaxError> {
    let value = scanner.value(from, 1)?;
    check_end(scanner, value.end as usize, to)?;
    Ok(value)
}

/// Nothing but blanks from `at` to `end`.
fn check_end(scanner: &mut Scanner, at: usize, end: usize) -> Result<(), SyntaxError> {
    let behind = scanner.skip_blanks(at);
    if behind < end { Err(SyntaxError { offset: behind }) } else { Ok(()) }
}

/// The next line from `next` on that is not blank, trimmed; moves `next` behind it.
fn next_line(payload: &[u8], next: &mut usize, end: usize) -> Option<(usize, usize)> {
    while *next < end {
        let feed = crate::simd::find_either(&payload[..end], *next, b'\n', b'\n');
        let (from, to) = trim_blanks(payload, *next, feed);
        *next = feed + 1;
        if from < to {
            return Some((from, to));
        }
    }
    None
}

/// An accepted row without a record yet.
pub fn start_row(row: &mut [i32; ROW_INTS], start: usize, end: usize) {
    row.fill(0);
    row[row::TOKEN_ID] = TOKEN_NONE as i32;
    row[row::PROBLEM_OFFSET] = -1;
    row[row::MEMBER_START] = -1;
    row[row::INSERT_ID_START] = -1;
    row[row::RAW_START] = start as i32;
    row[row::RAW_LENGTH] = (end - start) as i32;
}

fn reject_row(row: &mut [i32; ROW_INTS], fault: Fault) {
    row[row::OUTCOME] = outcome::REJECTED;
    row[row::PROBLEM] = fault.problem as i32;
    row[row::PROBLEM_OFFSET] = fault.offset as i32;
    if let Some((start, end)) = fault.member {
        row[row::MEMBER_START] = start as i32;
        row[row::MEMBER_LENGTH] = (end - start) as i32;
    }
}

/// The token's id if it has one; else it waits for the request's end.
fn token_id(request: &Request, token: Option<Text>, index: usize, pending: &mut Pending) -> u32 {
    let Some(Text { bytes, .. }) = token else { return TOKEN_NONE };
    if bytes.len() > TOKEN_BYTES_MAX {
        return TOKEN_SHARED;
    }
    let listed = request.options.tokens_allowed.is_some();
    let known = if listed { request.tokens.allowed(bytes) } else { request.tokens.find(bytes) };
    known.unwrap_or_else(|| {
        pending.bytes.extend_from_slice(bytes);
        pending.rows.push((index, pending.bytes.len()));
        TOKEN_SHARED
    })
}

/// Writes a record at `at` if the room suffices; else it is only measured. Returns its length.
fn write(
    accepted: &Accepted,
    room: &mut [u8],
    at: usize,
    spill: &mut Vec<u8>,
    row: &mut [i32; ROW_INTS],
) -> usize {
    let bytes_max = accepted.bytes_max();
    let written = match room.get_mut(at..) {
        Some(free) if free.len() >= bytes_max => accepted.write(&mut Writer::new(free)),
        free => {
            if spill.len() < bytes_max {
                spill.resize(bytes_max, 0);
            }
            let written = accepted.write(&mut Writer::new(spill));
            if let Some(target) = free.and_then(|free| free.get_mut(..written.length)) {
                target.copy_from_slice(&spill[..written.length]);
            }
            written
        }
    };
    debug_assert!(written.length <= bytes_max, "{} of {bytes_max} bytes", written.length);
    row[row::LENGTH] = written.length as i32;
    row[row::FLAGS] = i32::from(written.flags);
    row[row::KEY_HASH] = written.key_hash;
    written.length
}
