//! Addresses in records.

use std::net::{Ipv4Addr, Ipv6Addr};

/// IPv4 (four decimal numbers without leading zeros) or IPv6 (RFC 4291 text, no zone).
pub fn is_address(text: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(text) else { return false };
    text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses_and_what_is_none() {
        let good = [
            "0.0.0.0",
            "255.255.255.255",
            "203.0.113.9",
            "::",
            "::1",
            "1::",
            "2001:db8::8:800:200C:417A",
            "::ffff:1.2.3.4",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:1.2.3.4",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "0001::",
        ];
        let bad = [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "256.1.1.1",
            "1.2.3.4 ",
            " ::1",
            "fe80::1%eth0",
            "1:2:3:4:5:6:7",
            ":::",
            "1:2:3:4:5:6:7:8::",
            "1::2::3",
            "12345::",
            "g::",
            "1.2.3.4::",
            "::1.2.3",
            "[::1]",
            "::1.2.3.04",
            "1:2:3:4::5:6:7:8",
            "::1:2:3:4:5:6:7:8",
        ];
        for text in good {
            assert!(is_address(text.as_bytes()), "{text}");
        }
        for text in bad {
            assert!(!is_address(text.as_bytes()), "{text}");
        }
    }
}
