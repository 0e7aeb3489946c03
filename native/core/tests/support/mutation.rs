//! Seeded mutation: inputs that resemble real ones and are broken in all sorts of places.

use std::fs;
use std::path::{Path, PathBuf};

/// A seeded generator (xorshift64*): the same inputs on every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 0 to `end`, exclusive; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

fn seeds_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds")
}

/// The seeds of one fuzz target, in the order of their names.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(seeds_folder().join(target)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The words of the dictionary that the fuzz targets use.
pub fn words() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(seeds_folder().join("words.dict")).unwrap();
    text.lines().map(|line| unquote(line.trim())).collect()
}

/// Undoes `\"`, `\\` and `\xXX`.
fn unquote(line: &str) -> Vec<u8> {
    let mut rest = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).unwrap().as_bytes();
    let mut word = Vec::new();
    while let [first, behind @ ..] = rest {
        let (byte, length) = match (first, behind) {
            (b'\\', [b'x', high, low, ..]) => {
                let digits = [*high, *low];
                (u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap(), 4)
            }
            (b'\\', [escaped, ..]) => (*escaped, 2),
            _ => (*first, 1),
        };
        word.push(byte);
        rest = &rest[length..];
    }
    word
}

/// Changes an input in one to eight places.
pub fn mutate(input: &mut Vec<u8>, random: &mut Random, others: &[Vec<u8>], words: &[Vec<u8>]) {
    const BYTES_MAX: usize = 4096;
    for _ in 0..=random.below(8).min(random.below(8)) {
        let at = random.below(input.len() + 1);
        let span = random.below(12);
        let end = (at + span).min(input.len());
        match random.below(9) {
            0 => insert(input, at, random.pick::<Vec<u8>>(words)),
            1 => drop(input.splice(at..end, random.pick(words).iter().copied())),
            2 => drop(input.drain(at..end)),
            3 => input.insert(at, *random.pick(b"{}[]:,\"\\ \n\r\t0159-+.eEuN%&=_/\x00\x1F\x7F\x80\xED\xFF")),
            4 if at < input.len() => input[at] = random.next() as u8,
            5 if at < input.len() => input[at] ^= 1 << random.below(8),
            6 => {
                let copy = input[at..end].to_vec();
                let to = random.below(input.len() + 1);
                insert(input, to, &copy);
            }
            7 => {
                let other = random.pick(others);
                let from = random.below(other.len() + 1);
                let to = (from + random.below(100)).min(other.len());
                insert(input, at, &other[from..to]);
            }
            8 => {
                let copy = input[at..end].repeat(random.below(20));
                insert(input, at, &copy);
            }
            _ => {}
        }
        input.truncate(BYTES_MAX);
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}
