//! PROXY headers, good, bad and made up by proptest.

use ppp::v2::{Addresses, Builder, Command, Protocol, Unix, Version};
use proptest::prelude::*;

use super::*;

fn header(command: Command, protocol: Protocol, addresses: impl Into<Addresses>) -> Vec<u8> {
    Builder::with_addresses(Version::Two | command, protocol, addresses).build().unwrap()
}

fn v4() -> ppp::v2::IPv4 {
    ppp::v2::IPv4::new([192, 0, 2, 7], [198, 51, 100, 1], 4000, 443)
}

fn client(source: &str, destination: &str) -> Source {
    Source::Client { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

#[test]
fn addresses_of_both_families_are_read_and_unmapped() {
    let bytes = header(Command::Proxy, Protocol::Stream, v4());
    assert_eq!(parse(&bytes).unwrap(), client("192.0.2.7:4000", "198.51.100.1:443"));

    let v6 = |source: &str| {
        let ip = ppp::v2::IPv6::new(
            source.parse::<std::net::Ipv6Addr>().unwrap(),
            std::net::Ipv6Addr::LOCALHOST,
            1,
            2,
        );
        header(Command::Proxy, Protocol::Stream, ip)
    };
    assert_eq!(parse(&v6("2001:db8::7")).unwrap(), client("[2001:db8::7]:1", "[::1]:2"));
    assert_eq!(parse(&v6("::ffff:192.0.2.7")).unwrap(), client("192.0.2.7:1", "[::1]:2"));
}

#[test]
fn a_local_command_is_the_balancers_own_whatever_addresses_follow() {
    let bytes = header(Command::Local, Protocol::Unspecified, Addresses::Unspecified);
    assert_eq!(parse(&bytes).unwrap(), Source::Local);
    assert_eq!(parse(&header(Command::Local, Protocol::Stream, v4())).unwrap(), Source::Local);
}

#[test]
fn what_names_no_tcp_client_is_refused_with_the_reason() {
    for (bytes, reason) in [
        (header(Command::Proxy, Protocol::Datagram, v4()), "STREAM"),
        (header(Command::Proxy, Protocol::Stream, Addresses::Unspecified), "UNSPEC"),
        (header(Command::Proxy, Protocol::Stream, Unix::new([0; 108], [0; 108])), "UNIX"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(), "version 2"),
        (b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c".to_vec(), "version 2"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04aaaa".to_vec(), "address family"),
    ] {
        let message = parse(&bytes).unwrap_err().to_string();
        assert!(message.contains(reason), "{}: {message}", bytes.escape_ascii());
    }
}

#[tokio::test]
async fn exactly_the_header_is_read_however_it_comes() {
    let mut bytes = Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, v4())
        .write_tlv(ppp::v2::Type::Authority, b"hub.test")
        .unwrap()
        .build()
        .unwrap();
    bytes.extend(b"\x16next");
    let (mut near, far) = tokio::io::duplex(3);
    let write = tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut near, &bytes).await });
    let mut far = far;
    assert_eq!(read(&mut far).await.unwrap(), client("192.0.2.7:4000", "198.51.100.1:443"));
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"\x16next");
    write.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_header_that_claims_too_much_is_refused_before_it_is_read() {
    let mut bytes: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff";
    assert!(matches!(read(&mut bytes).await, Err(Error::TooLong(65_551))));
    let mut bytes: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\0\0";
    assert!(matches!(read(&mut bytes).await, Err(Error::Io(_))), "it ends too soon");
    let mut bytes: &[u8] = b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c\0\0";
    assert!(matches!(read(&mut bytes).await, Err(Error::Invalid(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(start in 0usize..20, tail in proptest::collection::vec(any::<u8>(), 0..300)) {
        let valid = header(Command::Proxy, Protocol::Stream, v4());
        let mut bytes = valid[..start.min(valid.len())].to_vec();
        bytes.extend(tail);
        // Cutting anywhere must be an error or a whole header, never a panic.
        for end in 0..=bytes.len() {
            if parse(&bytes[..end]).is_ok() {
                prop_assert!(end >= FIXED);
            }
        }
    }

    #[test]
    fn what_was_written_is_read(source: [u8; 4], port: u16) {
        let ip = ppp::v2::IPv4::new(source, [127, 0, 0, 1], port, 443);
        let wanted = Source::Client {
            source: SocketAddr::from((source, port)),
            destination: SocketAddr::from(([127, 0, 0, 1], 443)),
        };
        prop_assert_eq!(parse(&header(Command::Proxy, Protocol::Stream, ip)).unwrap(), wanted);
    }
}
