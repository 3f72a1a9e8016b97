//! What a peer speaks, told from the first bytes it sends. Nothing here reads or answers.

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    /// A TLS handshake record (RFC 8446 section 5.1).
    Tls,
    /// A PROXY protocol header of version 2, or its beginning.
    ProxyV2,
    /// A PROXY protocol header of version 1, the textual one.
    ProxyV1,
    /// A request in plain HTTP, version 1 or 2.
    Http,
    /// Nothing that the hub knows.
    Other,
    /// Too few bytes to tell.
    Unknown,
}

const PROXY_V1: &[u8] = b"PROXY ";
/// A method that is longer than this is none that a browser or a program sends by mistake.
const LONGEST_METHOD: usize = 16;

/// Classifies the first bytes of a connection. One byte suffices for [`FirstBytes::Tls`] and
/// [`FirstBytes::ProxyV2`]; a method and the space after it tell the rest.
pub fn classify(bytes: &[u8]) -> FirstBytes {
    match bytes.first() {
        None => FirstBytes::Unknown,
        Some(0x16) => FirstBytes::Tls,
        Some(b'\r') if starts_alike(bytes, ppp::v2::PROTOCOL_PREFIX) => FirstBytes::ProxyV2,
        Some(b'A'..=b'Z') if bytes.starts_with(PROXY_V1) => FirstBytes::ProxyV1,
        Some(b'A'..=b'Z') => {
            match bytes.iter().position(|byte| !(byte.is_ascii_uppercase() || *byte == b'-')) {
                Some(end) if bytes[end] == b' ' && end <= LONGEST_METHOD => FirstBytes::Http,
                None if bytes.len() <= LONGEST_METHOD => FirstBytes::Unknown,
                _ => FirstBytes::Other,
            }
        }
        Some(_) => FirstBytes::Other,
    }
}

fn starts_alike(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.iter().zip(prefix).all(|(left, right)| left == right)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_is_told_from_its_first_bytes() {
        let cases: &[(&[u8], FirstBytes)] = &[
            (b"", FirstBytes::Unknown),
            (b"\x16", FirstBytes::Tls),
            (b"\x16\x03\x01\x02\x00", FirstBytes::Tls),
            (b"\r", FirstBytes::ProxyV2),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", FirstBytes::ProxyV2),
            (b"\r\n\r\n\x01", FirstBytes::Other),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", FirstBytes::ProxyV1),
            (b"P", FirstBytes::Unknown),
            (b"PROXY", FirstBytes::Unknown),
            (b"PRO", FirstBytes::Unknown),
            (b"GET / HTTP/1.1\r\n", FirstBytes::Http),
            (b"M-SEARCH * HTTP/1.1\r\n", FirstBytes::Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", FirstBytes::Http),
            (b"SSH-2.0-OpenSSH_9.2\r\n", FirstBytes::Other),
            (b"GET\0", FirstBytes::Other),
            (b"AAAAAAAAAAAAAAAAAAAAAAAAA", FirstBytes::Other),
            (b"\x80\x2e\x01\x03", FirstBytes::Other),
        ];
        for (bytes, kind) in cases {
            assert_eq!(classify(bytes), *kind, "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn more_bytes_never_change_what_was_told(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut told = FirstBytes::Unknown;
            for end in 0..=bytes.len() {
                let now = classify(&bytes[..end]);
                match told {
                    FirstBytes::Unknown => told = now,
                    FirstBytes::ProxyV2 => prop_assert!(matches!(now, FirstBytes::ProxyV2 | FirstBytes::Other)),
                    told => prop_assert_eq!(now, told),
                }
            }
            prop_assert!(bytes.len() <= LONGEST_METHOD || told != FirstBytes::Unknown);
        }
    }
}
