//! From a record that passed its rules to the bytes of the log: key, envelope, record text.

pub mod address;
pub mod compact;
pub mod envelope;
pub mod item;
pub mod murmur2;
pub mod time;
pub mod writer;
