//! Which members are kept: names to slots, by a perfect hash over the name's first sixteen bytes.

use crate::text;

/// Names of this length at most.
pub const NAME_BYTES_MAX: usize = 16;
const ENTRIES: usize = 64;
const SHIFT: u32 = u64::BITS - ENTRIES.trailing_zeros();
/// No member that is kept; the slot's value is never read.
pub const NONE: usize = 0;

/// A table of names. Built at compile time.
pub struct Keys {
    multiplier: u64,
    names: [u128; ENTRIES],
    slots: [u8; ENTRIES],
}

/// The bytes of a name of each length.
static MASKS: [u128; NAME_BYTES_MAX + 1] = {
    let mut masks = [u128::MAX; NAME_BYTES_MAX + 1];
    let mut length = 0;
    while length < NAME_BYTES_MAX {
        masks[length] = (1 << (8 * length)) - 1;
        length += 1;
    }
    masks
};

const fn pack(name: &[u8]) -> u128 {
    let (mut packed, mut at) = (0, 0);
    while at < name.len() {
        packed |= (name[at] as u128) << (8 * at);
        at += 1;
    }
    packed
}

#[inline(always)]
const fn place(packed: u128, multiplier: u64) -> usize {
    let folded = packed as u64 ^ ((packed >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(multiplier) >> SHIFT) as usize
}

impl Keys {
    /// Finds a multiplier under which no two names meet.
    pub const fn new(names: &[(&[u8], usize)]) -> Self {
        let mut multiplier = 0x9E37_79B9_7F4A_7C15_u64;
        loop {
            if let Some(keys) = Self::with(names, multiplier) {
                return keys;
            }
            multiplier = multiplier.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(2);
        }
    }

    const fn with(names: &[(&[u8], usize)], multiplier: u64) -> Option<Self> {
        let mut keys = Self { multiplier, names: [0; ENTRIES], slots: [NONE as u8; ENTRIES] };
        let mut index = 0;
        while index < names.len() {
            let (name, slot) = names[index];
            let packed = pack(name);
            let place = place(packed, multiplier);
            if keys.slots[place] != NONE as u8 {
                return None;
            }
            keys.names[place] = packed;
            keys.slots[place] = slot as u8;
            index += 1;
        }
        Some(keys)
    }

    #[inline(always)]
    fn find(&self, packed: u128) -> usize {
        let place = place(packed, self.multiplier);
        if self.names[place] == packed { self.slots[place] as usize } else { NONE }
    }

    /// The slot of the name `text[start..end]`, raw text without escapes.
    #[inline(always)]
    pub fn slot(&self, text: &[u8], start: usize, end: usize) -> usize {
        let length = end - start;
        if length > NAME_BYTES_MAX {
            return NONE;
        }
        let packed = match text.get(start..start + NAME_BYTES_MAX) {
            Some(bytes) => u128::from_le_bytes(bytes.try_into().expect("sixteen bytes")) & MASKS[length],
            None => pack(&text[start..end]),
        };
        self.find(packed)
    }

    /// The slot of a name that is written with escapes.
    #[inline(never)]
    pub fn escaped_slot(&self, raw: &[u8]) -> usize {
        /// The longest escape is six bytes for one.
        const RAW_BYTES_MAX: usize = 6 * NAME_BYTES_MAX;
        let mut name = Name { bytes: [0; NAME_BYTES_MAX], length: 0 };
        if raw.len() > RAW_BYTES_MAX {
            return NONE;
        }
        text::unescape(raw, &mut name);
        match name.bytes.get(..name.length) {
            // Packing cannot tell a zero byte from none.
            Some(bytes) if !bytes.contains(&0) => self.find(pack(bytes)),
            _ => NONE,
        }
    }
}

/// The first bytes of a name, and its whole length.
struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    length: usize,
}

impl text::Sink for Name {
    fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
            }
            self.length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[(&[u8], usize)] =
        &[(b"a", 1), (b"event", 2), (b"$mp_event_id", 3), (b"sixteen bytes ok", 4)];
    static KEYS: Keys = Keys::new(NAMES);

    #[test]
    fn names_are_found_with_and_without_text_behind_them() {
        for &(name, slot) in NAMES {
            assert_eq!(KEYS.slot(name, 0, name.len()), slot);
            let more = [name, b"\":\"something long behind it\""].concat();
            assert_eq!(KEYS.slot(&more, 0, name.len()), slot);
            assert_eq!(KEYS.slot(&more, 0, name.len() + 1), NONE);
            assert_eq!(KEYS.slot(&more, 0, name.len() - 1), NONE);
        }
        assert_eq!(KEYS.slot(b"", 0, 0), NONE);
        assert_eq!(KEYS.slot(b"sixteen bytes ok!", 0, 17), NONE);
    }

    #[test]
    fn escaped_names_are_the_same_names() {
        assert_eq!(KEYS.escaped_slot(br"\u0065vent"), 2);
        assert_eq!(KEYS.escaped_slot(br"\u0061"), 1);
        assert_eq!(KEYS.escaped_slot(br"\u0061\u0000"), NONE);
        assert_eq!(KEYS.escaped_slot(&br"\u0061".repeat(16)), NONE);
        assert_eq!(KEYS.escaped_slot(&br"\u0061".repeat(17)), NONE);
    }
}
