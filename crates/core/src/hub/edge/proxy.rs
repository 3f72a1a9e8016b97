//! PROXY protocol version 2 (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>): how a listed balancer
//! tells whose connection it passes on. Read before TLS begins; version 1 is not spoken.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::hub::source::unmapped;

/// With what a header begins.
pub const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest rest of a header that is read: addresses and a few extensions.
const MAX_REST: usize = 1024;

/// Addresses that begin alike: `192.0.2.0/24`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, width) = match (self.address, unmapped(address)) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (u128::from(ours.to_bits()), u128::from(theirs.to_bits()), 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits(), 128),
            _ => return false,
        };
        let shift = width - u32::from(self.bits);
        ours.checked_shr(shift) == theirs.checked_shr(shift)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no network: write an address, or ADDRESS/BITS");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| bad())?)),
            None => (text, None),
        };
        let address: IpAddr = unmapped(address.parse().map_err(|_| bad())?);
        let width = if address.is_ipv4() { 32 } else { 128 };
        match bits.unwrap_or(width) {
            bits if bits <= width => Ok(Self { address, bits }),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Whose connection it is, by a whole header: `None` when the balancer speaks for itself (LOCAL), or for something that
/// has no address.
pub fn parse(header: &[u8]) -> Result<Option<SocketAddr>, String> {
    let header = ppp::v2::Header::try_from(header).map_err(|error| format!("{error:?}"))?;
    if header.command == ppp::v2::Command::Local {
        return Ok(None);
    }
    let source: SocketAddr = match header.addresses {
        ppp::v2::Addresses::IPv4(v4) => (v4.source_address, v4.source_port).into(),
        ppp::v2::Addresses::IPv6(v6) => (v6.source_address, v6.source_port).into(),
        _ => return Ok(None),
    };
    Ok(Some(SocketAddr::new(unmapped(source.ip()), source.port())))
}

/// Reads exactly one header.
pub(super) async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let bad = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
    let mut header = vec![0; 16];
    io.read_exact(&mut header).await?;
    if !header.starts_with(SIGNATURE) {
        return Err(bad("it did not begin with a PROXY protocol version 2 header".to_owned()));
    }
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if rest > MAX_REST {
        return Err(bad(format!("its PROXY header is longer than {MAX_REST} bytes")));
    }
    header.resize(16 + rest, 0);
    io.read_exact(&mut header[16..]).await?;
    parse(&header).map_err(bad)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn networks() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("192.0.2.0/24", "192.0.2.77"));
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.77"));
        assert!(!contains("192.0.2.0/24", "192.0.3.1"));
        assert!(contains("192.0.2.1", "192.0.2.1"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        for bad in ["", "192.0.2.0/33", "a/8", "192.0.2.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_header_names_the_client() {
        let addresses = ppp::v2::IPv4::new([203, 0, 113, 9], [192, 0, 2, 1], 51000, 443);
        let header = ppp::v2::Builder::with_addresses(
            ppp::v2::Version::Two | ppp::v2::Command::Proxy,
            ppp::v2::Protocol::Stream,
            addresses,
        )
        .build()
        .unwrap();
        let bytes = [header.as_slice(), b"rest"].concat();
        let mut io = bytes.as_slice();
        assert_eq!(read(&mut io).await.unwrap(), Some("203.0.113.9:51000".parse().unwrap()));
        assert_eq!(io, b"rest", "nothing of what follows was read");
        assert!(read(&mut b"PROXY TCP4 203.0.113.9 192.0.2.1 51000 443\r\n".as_slice()).await.is_err());
        assert!(read(&mut &bytes[..20]).await.is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_parser(tail in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&tail);
            let _ = parse(&[SIGNATURE.as_slice(), &tail].concat());
        }
    }
}
