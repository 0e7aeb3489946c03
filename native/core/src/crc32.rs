//! CRC-32 (IEEE), which the frames of the log carry.

use crate::simd;
use crate::slicing::{self, Tables};

/// The polynomial with its bits reversed.
const POLYNOMIAL: u32 = 0xEDB8_8320;

const TABLES: Tables = slicing::tables(POLYNOMIAL);

/// The checksum of `bytes` behind a text whose checksum is `seed`; `None` where the processor has no carry-less
/// multiplication. There zlib is as fast.
#[must_use]
pub fn crc32(bytes: &[u8], seed: u32) -> Option<u32> {
    simd::fold_crc32(bytes, !seed).map(|folded| finish(folded, seed))
}

/// The checksum of what was folded, and what follows it.
fn finish((folded, rest): (Option<[u8; 16]>, &[u8]), seed: u32) -> u32 {
    let crc = folded.map_or(!seed, |folded| slicing::step(&TABLES, &folded, 0));
    !slicing::step(&TABLES, rest, crc)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As on processors with narrow vectors alone.
    fn narrow(bytes: &[u8], seed: u32) -> Option<u32> {
        simd::fold_crc32_narrow(bytes, !seed).map(|folded| finish(folded, seed))
    }

    fn software(bytes: &[u8]) -> u32 {
        !slicing::step(&TABLES, bytes, !0)
    }

    /// The check value of the CRC catalogue, and zlib's of a longer text.
    #[test]
    fn known_values() {
        assert_eq!(software(b"123456789"), 0xCBF4_3926);
        assert_eq!(software(&[0; 32]), 0x190A_55AD);
        assert_eq!(software(b""), 0);
    }

    #[test]
    fn hardware_and_software_agree_on_every_length_and_place() {
        let bytes: Vec<u8> = (0..1400_u32).map(|index| ((index * index * 31) >> 3) as u8).collect();
        for start in (0..9).filter(|_| crc32(b"", 0).is_some()) {
            for end in start..bytes.len() {
                let whole = &bytes[start..end];
                assert_eq!(crc32(whole, 0), Some(software(whole)), "{start} to {end}");
                assert_eq!(narrow(whole, 0), Some(software(whole)), "{start} to {end}");
            }
        }
    }

    #[test]
    fn it_goes_on_behind_any_cut() {
        let bytes: Vec<u8> = (0..700_u32).map(|index| ((index * index * 37) >> 3) as u8).collect();
        for cut in (0..bytes.len()).filter(|_| crc32(b"", 0).is_some()) {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(crc32(second, software(first)), Some(software(&bytes)), "cut at {cut}");
            assert_eq!(narrow(second, software(first)), Some(software(&bytes)), "cut at {cut}");
        }
    }

    #[test]
    fn the_hardware_is_used_where_it_is() {
        #[cfg(target_arch = "x86_64")]
        assert_eq!(crc32(b"", 0).is_some(), std::is_x86_feature_detected!("pclmulqdq"));
    }
}
