//! Who does not speak TLS.

use tokio::io::AsyncWriteExt;

use super::bench::{Bench, Setup, rest};

async fn answer(bench: &Bench, pieces: &[&[u8]]) -> String {
    let mut tcp = bench.tcp().await;
    tcp.set_nodelay(true).unwrap();
    for piece in pieces {
        tcp.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    tcp.shutdown().await.unwrap();
    let (read, failed) = rest(&mut tcp).await;
    assert_eq!(failed, None, "the answer must not be lost to a reset");
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn plain_http_gets_one_clear_line_and_a_close() {
    let bench = Bench::start(Setup::default());
    let long =
        format!("POST /upload HTTP/1.1\r\nHost: hub\r\nContent-Length: 30000\r\n\r\n{}", "x".repeat(30_000));
    let requests: [&[&[u8]]; 4] = [
        &[b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n"],
        &[b"G", b"E", b"T ", b"/ HTTP/1.1\r\n\r\n"],
        &[long.as_bytes()],
        &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ];
    for pieces in requests {
        let answer = answer(&bench, pieces).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.contains("Connection: close"),
            "{head}"
        );
        assert_eq!(
            body,
            "This hub speaks HTTPS only: use an address that begins with https:// and not http://\n"
        );
    }
}

#[tokio::test]
async fn whatever_else_it_is_gets_no_answer() {
    let bench = Bench::start(Setup::default());
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"\x00\x01\x02",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"GE",
        b"",
    ] {
        let mut tcp = bench.tcp().await;
        tcp.write_all(bytes).await.unwrap();
        tcp.shutdown().await.unwrap();
        assert_eq!(rest(&mut tcp).await.0, b"", "{}", bytes.escape_ascii());
    }
}
