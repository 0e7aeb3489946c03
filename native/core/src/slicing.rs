//! Checksums with tables, eight bytes at a time (slicing by 8), for any CRC of 32 bits whose bits are reversed.

/// Table k says what a byte does to the checksum once k more bytes have passed.
pub type Tables = [[u32; 256]; 8];

/// `polynomial` with its bits reversed.
pub const fn tables(polynomial: u32) -> Tables {
    let mut tables = [[0; 256]; 8];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = value >> 1 ^ (polynomial & (value & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][index] = value;
        index += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut index = 0;
        while index < 256 {
            let value = tables[table - 1][index];
            tables[table][index] = value >> 8 ^ tables[0][(value & 255) as usize];
            index += 1;
        }
        table += 1;
    }
    tables
}

/// What `bytes` make of the state `crc`; a checksum begins and ends with its complement.
pub fn step(tables: &Tables, bytes: &[u8], mut crc: u32) -> u32 {
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let value = u64::from_le_bytes(word.try_into().expect("eight bytes")) ^ u64::from(crc);
        crc = (0..8).fold(0, |sum, index| sum ^ tables[7 - index][(value >> (8 * index)) as usize & 255]);
    }
    for &byte in words.remainder() {
        crc = crc >> 8 ^ tables[0][(crc as u8 ^ byte) as usize];
    }
    crc
}
