//! CRC-32C (Castagnoli), as Kafka's record batches carry it.

use crate::simd;
use crate::slicing::{self, Tables};

/// The polynomial with its bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;

const TABLES: Tables = slicing::tables(POLYNOMIAL);

/// The checksum of `bytes`; `seed` is that of what stands before them, 0 for nothing.
#[must_use]
pub fn crc32c(bytes: &[u8], seed: u32) -> u32 {
    simd::crc32c(bytes, seed).unwrap_or_else(|| software(bytes, seed))
}

fn software(bytes: &[u8], seed: u32) -> u32 {
    !slicing::step(&TABLES, bytes, !seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the CRC catalogue, and RFC 3720 B.4.
    #[test]
    fn known_values() {
        let ascending: Vec<u8> = (0..32).collect();
        for crc in [crc32c, software] {
            assert_eq!(crc(b"123456789", 0), 0xE306_9283);
            assert_eq!(crc(&[0; 32], 0), 0x8A91_36AA);
            assert_eq!(crc(&[0xFF; 32], 0), 0x62A8_AB43);
            assert_eq!(crc(&ascending, 0), 0x46DD_794E);
            assert_eq!(crc(b"", 0), 0);
        }
    }

    #[test]
    fn hardware_and_software_agree_on_every_length_place_and_seed() {
        let bytes: Vec<u8> = (0..300_u32).map(|index| ((index * index * 31) >> 3) as u8).collect();
        for start in 0..9 {
            for end in start..bytes.len() {
                let (whole, seed) = (&bytes[start..end], (end as u32).wrapping_mul(0x9E37_79B9));
                assert_eq!(crc32c(whole, seed), software(whole, seed));
                let (head, tail) = whole.split_at(whole.len() / 3);
                assert_eq!(crc32c(tail, crc32c(head, seed)), crc32c(whole, seed));
            }
        }
    }

    #[test]
    fn the_hardware_is_used_where_it_is() {
        #[cfg(target_arch = "x86_64")]
        assert_eq!(simd::crc32c(b"", 0).is_some(), std::is_x86_feature_detected!("sse4.2"));
    }
}
