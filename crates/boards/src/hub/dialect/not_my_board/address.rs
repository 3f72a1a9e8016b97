//! Where a client is, when proxies stand in between.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::hub::config::NotMyBoardConfig;

/// The client's address: the connection's, or what listed proxies say in `X-Forwarded-For`. Each proxy adds on the right
/// whom it heard from, so the rightmost address that is no listed proxy's is the client's; what stands further left is
/// the client's own claim.
pub(super) fn of_client(peer: IpAddr, headers: &HeaderMap, config: &NotMyBoardConfig) -> IpAddr {
    let mut address = peer.to_canonical();
    if !config.trusts(address) {
        return address;
    }
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let told: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    for word in told.into_iter().rev() {
        let Some(before) = parse(word) else { break };
        address = before;
        if !config.trusts(address) {
            break;
        }
    }
    address
}

/// Some proxies add the port.
fn parse(word: &str) -> Option<IpAddr> {
    let bare = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
    let address = bare.parse().or_else(|_| word.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_proxies_are_believed() {
        let proxies = ["127.0.0.1", "10.0.0.0/8"].map(|network| network.parse().unwrap()).to_vec();
        let config = NotMyBoardConfig { proxies, ..NotMyBoardConfig::default() };
        let client = |peer: &str, told: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in told {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            of_client(peer.parse().unwrap(), &headers, &config).to_string()
        };
        assert_eq!(client("192.0.2.7", &["6.6.6.6"]), "192.0.2.7");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client("::ffff:127.0.0.1", &["192.0.2.7"]), "192.0.2.7");
        assert_eq!(client("127.0.0.1", &["6.6.6.6, 192.0.2.7"]), "192.0.2.7");
        assert_eq!(client("127.0.0.1", &["6.6.6.6", "192.0.2.7, 10.1.1.1"]), "192.0.2.7");
        assert_eq!(client("127.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &["::ffff:192.0.2.9"]), "192.0.2.9");
        assert_eq!(client("127.0.0.1", &["192.0.2.7, unknown"]), "127.0.0.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.2, 10.0.0.3"]), "10.0.0.2");
    }
}
