//! Tokens to small integers.
//!
//! An open-addressing table over byte strings that never forgets. Ids 0 and 1 are reserved; the first token gets 2.

/// Shared by all tokens beyond the table's size or longer than [`TOKEN_BYTES_MAX`].
pub const TOKEN_SHARED: u32 = 0;
/// The record has no token.
pub const TOKEN_NONE: u32 = 1;
/// Longer tokens get no id of their own.
pub const TOKEN_BYTES_MAX: usize = 256;
const RESERVED: usize = 2;
const SLOTS_AT_START: usize = 64;
const EMPTY: u32 = u32::MAX;

/// One token.
struct Entry {
    hash: u64,
    start: usize,
    length: usize,
    id: u32,
    /// It stands in the tokens file.
    allowed: bool,
}

/// The table. See the module.
pub struct Interner {
    /// Index into `entries` or [`EMPTY`]; a power of two, at most half full.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    /// All tokens' bytes, back to back.
    bytes: Vec<u8>,
    /// Entry of each id from [`RESERVED`] on.
    named: Vec<u32>,
    tokens_max: usize,
    seed: u64,
}

impl Interner {
    /// An empty table that gives ids to at most `tokens_max` tokens.
    #[must_use]
    pub fn new(tokens_max: usize, seed: u64) -> Self {
        let slots = vec![EMPTY; SLOTS_AT_START];
        Self { slots, entries: Vec::new(), bytes: Vec::new(), named: Vec::new(), tokens_max, seed }
    }

    /// Ids handed out, the reserved ones included.
    #[must_use]
    pub fn count(&self) -> usize {
        RESERVED + self.named.len()
    }

    /// The token's id if it has one of its own.
    #[must_use]
    pub fn find(&self, token: &[u8]) -> Option<u32> {
        self.entry(token).map(|entry| entry.id).filter(|&id| id != TOKEN_SHARED)
    }

    /// The id of a token of the tokens file (perhaps [`TOKEN_SHARED`]); `None` for all others.
    #[must_use]
    pub fn allowed(&self, token: &[u8]) -> Option<u32> {
        self.entry(token).filter(|entry| entry.allowed).map(|entry| entry.id)
    }

    /// The token with this id.
    #[must_use]
    pub fn name(&self, id: u32) -> Option<&[u8]> {
        let index = (id as usize).checked_sub(RESERVED)?;
        let entry = &self.entries[*self.named.get(index)? as usize];
        Some(&self.bytes[entry.start..entry.start + entry.length])
    }

    /// The token's id, made if need be; [`TOKEN_SHARED`] when the table is full or the token too long.
    pub fn intern(&mut self, token: &[u8]) -> u32 {
        if let Some(entry) = self.entry(token) {
            return entry.id;
        }
        if self.named.len() >= self.tokens_max || token.len() > TOKEN_BYTES_MAX {
            return TOKEN_SHARED;
        }
        let id = self.count() as u32;
        self.named.push(self.entries.len() as u32);
        self.add(token, id, false);
        id
    }

    /// Adds a token of the tokens file; it stays known even when it gets no id of its own.
    pub fn allow(&mut self, token: &[u8]) {
        let id = self.intern(token);
        let hash = hash(token, self.seed);
        match self.slots[self.probe(token, hash)] {
            EMPTY => self.add(token, id, true),
            index => self.entries[index as usize].allowed = true,
        }
    }

    fn entry(&self, token: &[u8]) -> Option<&Entry> {
        match self.slots[self.probe(token, hash(token, self.seed))] {
            EMPTY => None,
            index => Some(&self.entries[index as usize]),
        }
    }

    /// The slot where the token lies or would lie.
    fn probe(&self, token: &[u8], hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let index = self.slots[slot];
            if index == EMPTY {
                return slot;
            }
            let entry = &self.entries[index as usize];
            if entry.hash == hash && &self.bytes[entry.start..entry.start + entry.length] == token {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn add(&mut self, token: &[u8], id: u32, allowed: bool) {
        if (self.entries.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let hash = hash(token, self.seed);
        let slot = self.probe(token, hash);
        self.slots[slot] = self.entries.len() as u32;
        self.entries.push(Entry { hash, start: self.bytes.len(), length: token.len(), id, allowed });
        self.bytes.extend_from_slice(token);
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        let mut slots = vec![EMPTY; mask + 1];
        for (index, entry) in self.entries.iter().enumerate() {
            let mut slot = entry.hash as usize & mask;
            while slots[slot] != EMPTY {
                slot = (slot + 1) & mask;
            }
            slots[slot] = index as u32;
        }
        self.slots = slots;
    }
}

/// A keyed hash: sixteen bytes at a time are folded into a 128-bit product. (After wyhash.)
fn hash(token: &[u8], seed: u64) -> u64 {
    const FOLD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = seed ^ (token.len() as u64).wrapping_mul(FOLD);
    let mut chunks = token.chunks_exact(16);
    for chunk in &mut chunks {
        state = fold_bytes(state, seed, chunk.try_into().expect("sixteen bytes"));
    }
    let rest = chunks.remainder();
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    fold(fold_bytes(state, seed, &last), seed | FOLD)
}

fn fold_bytes(state: u64, seed: u64, bytes: &[u8; 16]) -> u64 {
    const OTHER: u64 = 0xE703_7ED1_A0B4_28DB;
    let whole = u128::from_le_bytes(*bytes);
    fold(whole as u64 ^ state, (whole >> 64) as u64 ^ seed ^ OTHER)
}

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn ids_agree_with_a_map_over_thousands_of_tokens() {
        let mut interner = Interner::new(5_000, 7);
        let mut oracle: HashMap<Vec<u8>, u32> = HashMap::new();
        for round in 0..20_000_u32 {
            let token = format!("token-{}", round * 7_919 % 7_000).into_bytes();
            let next = oracle.len() as u32 + 2;
            let expected = if oracle.len() < 5_000 {
                *oracle.entry(token.clone()).or_insert(next)
            } else {
                oracle.get(&token).copied().unwrap_or(TOKEN_SHARED)
            };
            assert_eq!(interner.intern(&token), expected);
        }
        for (token, &id) in &oracle {
            assert_eq!(interner.name(id), Some(token.as_slice()));
            assert_eq!(interner.find(token), Some(id));
        }
        assert_eq!(interner.count(), 5_002);
    }

    #[test]
    fn reserved_ids_have_no_name_and_long_tokens_share_one() {
        let mut interner = Interner::new(10, 0);
        assert_eq!(interner.name(TOKEN_SHARED), None);
        assert_eq!(interner.name(TOKEN_NONE), None);
        assert_eq!(interner.name(2), None);
        assert_eq!(interner.intern(&[b'a'; TOKEN_BYTES_MAX]), 2);
        assert_eq!(interner.intern(&[b'a'; TOKEN_BYTES_MAX + 1]), TOKEN_SHARED);
        assert_eq!(interner.count(), 3);
    }

    #[test]
    fn allowed_tokens_stay_known_without_an_id() {
        let mut interner = Interner::new(1, 3);
        interner.allow(b"a");
        interner.allow(b"b");
        interner.allow(b"a");
        assert_eq!(interner.allowed(b"a"), Some(2));
        assert_eq!(interner.allowed(b"b"), Some(TOKEN_SHARED));
        assert_eq!(interner.find(b"b"), None);
        assert_eq!(interner.allowed(b"c"), None);
        assert_eq!(interner.intern(b"c"), TOKEN_SHARED);
        assert_eq!(interner.count(), 3);
    }

    #[test]
    fn the_seed_changes_the_hash() {
        assert_ne!(hash(b"token", 1), hash(b"token", 2));
        assert_ne!(hash(b"token", 1), hash(b"token\0", 1));
    }
}
