//! The PROXY protocol, version 2: the header in which a balancer says whose connection it passes on. Format: "The
//! PROXY protocol, versions 1 and 2" by Willy Tarreau, section 2.2. Whom to believe is not decided here.

use std::net::SocketAddr;

use ppp::v2;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The octets of the fixed part, which ends with the length of the rest.
const FIXED: usize = 16;
/// Addresses and the usual extensions take a few hundred octets; a header may claim 65,535.
const LONGEST: usize = 4096;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The balancer's own, for example its health check.
    Local,
    /// A client's.
    Client {
        /// Where the client comes from, unmapped.
        source: SocketAddr,
        /// What the client dialled, unmapped.
        destination: SocketAddr,
    },
}

/// Why a header is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection failed or ended within the header.
    #[error("the connection ended within the PROXY header: {0}")]
    Io(#[from] std::io::Error),
    /// It is not a version 2 header, or a broken one.
    #[error("no valid PROXY header of version 2: {0}")]
    Invalid(v2::ParseError),
    /// It claims to be longer than any sensible header.
    #[error("the PROXY header claims {0} octets, and {LONGEST} are allowed")]
    TooLong(usize),
    /// It does not say where the client comes from, which is what the hub wants to know.
    #[error(
        "the PROXY header holds no TCP addresses ({0}); configure the balancer to pass on TCP connections"
    )]
    NoAddress(&'static str),
}

/// Parses a whole header (from its signature to its last octet); bytes after it are ignored.
///
/// # Errors
///
/// When it is incomplete, malformed, or holds no TCP addresses.
pub fn parse(bytes: &[u8]) -> Result<Source, Error> {
    let header = v2::Header::try_from(bytes).map_err(Error::Invalid)?;
    if header.command == v2::Command::Local {
        return Ok(Source::Local);
    }
    let (source, destination) = match header.addresses {
        v2::Addresses::IPv4(ip) => (
            SocketAddr::from((ip.source_address, ip.source_port)),
            SocketAddr::from((ip.destination_address, ip.destination_port)),
        ),
        v2::Addresses::IPv6(ip) => (
            SocketAddr::from((ip.source_address, ip.source_port)),
            SocketAddr::from((ip.destination_address, ip.destination_port)),
        ),
        v2::Addresses::Unix(_) => return Err(Error::NoAddress("its family is UNIX")),
        v2::Addresses::Unspecified => return Err(Error::NoAddress("its family is UNSPEC")),
    };
    if header.protocol != v2::Protocol::Stream {
        return Err(Error::NoAddress("its protocol is not STREAM"));
    }
    Ok(Source::Client { source: unmap(source), destination: unmap(destination) })
}

/// Reads one header, and not an octet more.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Source, Error> {
    let mut header = vec![0; FIXED];
    stream.read_exact(&mut header).await?;
    match v2::Header::try_from(header.as_slice()) {
        Ok(_) | Err(v2::ParseError::Partial(..)) => {}
        Err(error) => return Err(Error::Invalid(error)),
    }
    let length = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
    if FIXED + length > LONGEST {
        return Err(Error::TooLong(FIXED + length));
    }
    header.resize(FIXED + length, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    parse(&header)
}

/// An IPv4 address that came in IPv6 clothes, without them.
pub(super) fn unmap(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
