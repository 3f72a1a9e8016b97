//! Where things are: the hub's address, and the TCP targets behind a node.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A hub's address that is not of the form `https://HOST[:PORT]`.
    #[error("{0:?} is not a hub's address: write https://HOST:PORT")]
    Hub(String),
    /// A hub's address in plain HTTP.
    #[error("{0:?} is plain HTTP, which no hub speaks: write https://HOST:PORT")]
    PlainHttp(String),
    /// A target that is not of the form `[HOST:]PORT`.
    #[error("{0:?} is not a target: write PORT or HOST:PORT, an IPv6 address in brackets")]
    Target(String),
    /// A node's target that is not of the form `NODE:[HOST:]PORT`.
    #[error("{0:?} is not a node's target: write NODE:PORT or NODE:HOST:PORT, an IPv6 address in brackets")]
    NodeTarget(String),
}

/// The hub's address: `https://HOST[:PORT]`, the port being 443 unless given.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HubUrl {
    host: String,
    port: u16,
}

impl HubUrl {
    /// From its parts; an IPv6 address without brackets.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// The host name or address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `HOST:PORT`, as the `Host` header has it.
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

impl FromStr for HubUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bad = || AddressError::Hub(text.to_owned());
        if text.len() > 300 {
            return Err(bad());
        }
        let uri: http::Uri = text.trim().parse().map_err(|_| bad())?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") => return Err(AddressError::PlainHttp(text.to_owned())),
            _ => return Err(bad()),
        }
        let authority = uri.authority().ok_or_else(bad)?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(bad());
        }
        let host = bare_host(authority.host()).ok_or_else(bad)?;
        let port = match authority
            .as_str()
            .rsplit_once(']')
            .map_or(authority.as_str(), |(_, rest)| rest)
            .split_once(':')
        {
            Some((_, port)) => port.parse().map_err(|_| bad())?,
            None => 443,
        };
        Ok(Self::new(host, port))
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl fmt::Debug for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HubUrl({self})")
    }
}

/// A TCP service as a node sees it: `[HOST:]PORT`, the host being 127.0.0.1 unless given.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    host: String,
    port: u16,
}

impl Target {
    /// From its parts; an IPv6 address without brackets.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into().to_ascii_lowercase(), port }
    }

    /// The host name or address, in lower case, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip().to_string(), address.port())
    }
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bad = || AddressError::Target(text.to_owned());
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (bare_host(host).ok_or_else(bad)?, port),
            None => ("127.0.0.1".to_owned(), text),
        };
        match port.parse() {
            Ok(0) | Err(_) => Err(bad()),
            Ok(port) => Ok(Self::new(host, port)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&authority(&self.host, self.port))
    }
}

/// A target on a named node: `NODE:[HOST:]PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeTarget {
    /// The node's name.
    pub node: String,
    /// The service as that node sees it.
    pub target: Target,
}

impl FromStr for NodeTarget {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bad = || AddressError::NodeTarget(text.to_owned());
        let (node, target) = text.split_once(':').ok_or_else(bad)?;
        if !is_name(node) {
            return Err(bad());
        }
        Ok(Self { node: node.to_owned(), target: target.parse().map_err(|_| bad())? })
    }
}

impl fmt::Display for NodeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node, self.target)
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(HubUrl, Target, NodeTarget);

/// Whether a text can name a node: 1 to 63 letters, digits, `-`, `_` and `.`, the first a letter or digit.
pub fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// A host as written, without the brackets of an IPv6 address; `None` when it is no host.
fn bare_host(host: &str) -> Option<String> {
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    let plausible = !host.is_empty()
        && host.len() <= 253
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    plausible.then(|| host.to_owned())
}

fn authority(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(IpAddr::V6(_)) => format!("[{host}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hub_addresses() {
        let parse = |text: &str| text.parse::<HubUrl>().map(|url| url.to_string());
        assert_eq!(parse("https://server:3101"), Ok("https://server:3101".into()));
        assert_eq!(parse("https://server/"), Ok("https://server:443".into()));
        assert_eq!(parse("https://[2001:db8::1]:3101"), Ok("https://[2001:db8::1]:3101".into()));
        assert_eq!(parse("https://[2001:db8::1]"), Ok("https://[2001:db8::1]:443".into()));
        assert!(matches!(parse("http://server:3101"), Err(AddressError::PlainHttp(_))));
        for bad in ["server:3101", "https://", "https://a:99999", "https://u@h:1", "https://h/path", ""] {
            assert!(matches!(parse(bad), Err(AddressError::Hub(_))), "{bad}");
        }
    }

    #[test]
    fn targets() {
        let parse = |text: &str| text.parse::<NodeTarget>().map(|target| target.to_string());
        assert_eq!(parse("lab:8080"), Ok("lab:127.0.0.1:8080".into()));
        assert_eq!(parse("lab:db.Local:5432"), Ok("lab:db.local:5432".into()));
        assert_eq!(parse("lab:[::1]:22"), Ok("lab:[::1]:22".into()));
        for bad in ["lab", "lab:", "lab:0", "lab:65536", ":80", "lab:::1:22", "la b:80", "lab:a b:80"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_survives(text in ".{0,80}") {
            if let Ok(target) = text.parse::<NodeTarget>() {
                prop_assert_eq!(target.to_string().parse::<NodeTarget>(), Ok(target));
            }
            if let Ok(url) = text.parse::<HubUrl>() {
                prop_assert_eq!(url.to_string().parse::<HubUrl>(), Ok(url));
            }
        }
    }
}
