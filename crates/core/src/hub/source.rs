//! Source addresses, as limits and logs see them.

use std::net::{IpAddr, Ipv6Addr};

/// Whom an address stands for: one customer of a network usually holds a whole IPv6 /64.
pub fn group(address: IpAddr) -> IpAddr {
    match unmapped(address) {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The IPv4 address that a socket for both families shows as `::ffff:a.b.c.d`.
pub fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
