//! The native decoder of sluicegate: requests in Mixpanel's wire protocol to finished log records.
//!
//! What it computes is fixed, byte for byte, in `docs/DECODING.md`; a reference decoder in TypeScript computes the same.
//! Words used throughout: the *payload* is the bytes that hold the JSON text, once form and base64 are undone; a *record*
//! is one event or profile update in it; a *row* is the sixteen integers that say what became of a record; the *room* is
//! where the bytes of accepted records go.
//!
//! The way of a request: [`request`] reads what the caller wrote, [`body`] finds the payload, [`records`] goes through it
//! once ([`json`] scans a record and keeps the spans of the members that count, [`rules`] judge it, [`record`] writes it),
//! and [`decoder`] settles the totals. Nothing is allocated for an event once the decoder is warm, nothing recurses, and
//! nothing is committed before the whole request is read.

#![warn(missing_docs)]
#![deny(unsafe_code)]
#![allow(rustdoc::private_intra_doc_links, reason = "read in the source, or with --document-private-items")]

pub mod batch;
mod body;
pub mod crc32;
pub mod crc32c;
mod decoder;
pub mod intern;
mod json;
mod options;
#[expect(clippy::doc_markdown, reason = "generated from the messages that clients see")]
mod problem;
mod record;
mod records;
mod request;
mod rules;
mod scalar;
mod simd;
mod slicing;
mod text;

pub use decoder::{Call, Decoder, SCRATCH_BYTES_MORE};
pub use json::check as check_json;
pub use options::{Content, Endpoint, Options, StoreIp};
pub use problem::Problem;
