//! Which brackets are open: one bit a level.

/// Levels in a word.
const BITS: u32 = u64::BITS;

/// A stack of bits that grows to any depth and keeps its memory.
#[derive(Default)]
pub struct BitStack {
    /// The topmost bits, the last one pushed lowest.
    word: u64,
    /// Bits in `word`, up to [`BITS`].
    used: u32,
    full: Vec<u64>,
}

impl BitStack {
    /// Forgets all bits.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.used = 0;
        self.full.clear();
    }

    /// Puts a bit on top.
    #[inline(always)]
    pub fn push(&mut self, bit: bool) {
        if self.used == BITS {
            self.full.push(self.word);
            self.used = 0;
        }
        self.word = self.word << 1 | u64::from(bit);
        self.used += 1;
    }

    /// The topmost bit; meaningless when there is none.
    #[inline(always)]
    pub fn top(&self) -> bool {
        self.word & 1 != 0
    }

    /// Takes the topmost bit away.
    #[inline(always)]
    pub fn pop(&mut self) {
        self.word >>= 1;
        self.used -= 1;
        if self.used == 0
            && let Some(word) = self.full.pop()
        {
            self.word = word;
            self.used = BITS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BitStack;

    #[test]
    fn it_agrees_with_a_vector_of_bools() {
        let (mut stack, mut oracle) = (BitStack::default(), Vec::new());
        let mut state = 5_u32;
        for step in 0..100_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // It climbs for a while, then comes down.
            let is_push = state >> 28 < if step / 1000 % 2 == 0 { 12 } else { 5 };
            if is_push || oracle.is_empty() {
                stack.push(state & 0x1_0000 != 0);
                oracle.push(state & 0x1_0000 != 0);
            } else {
                stack.pop();
                oracle.pop();
            }
            if let Some(&top) = oracle.last() {
                assert_eq!(stack.top(), top, "step {step}");
            }
        }
    }
}
