//! What the operator reads about connections that were turned away.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tracing_subscriber::fmt::MakeWriter;

use super::super::Limits;
use super::bench::{Bench, Setup, rest};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects this thread's log, from warnings up, until the guard is dropped.
    fn collect(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .with_writer(self.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects twice, sends `bytes` each time, and returns the log without the ports.
async fn logged(setup: Setup, bytes: &[u8]) -> String {
    let log = Log::default();
    let _collect = log.collect();
    let bench = Bench::start(setup);
    for _ in 0..2 {
        let mut tcp = bench.tcp().await;
        tcp.write_all(bytes).await.unwrap();
        rest(&mut tcp).await;
    }
    let text = log.text();
    assert_eq!(text.lines().count(), 1, "the second line like it comes later: {text}");
    let (before, after) = text.split_once("peer=127.0.0.1:").unwrap();
    let (_port, after) = after.split_once(' ').unwrap();
    format!("{}peer=127.0.0.1:PORT {after}", before.trim_start())
}

#[tokio::test]
async fn each_reason_is_one_line_that_says_what_to_do_and_is_not_repeated() {
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\0\x01\0\x02";
    let listed = || Setup { proxy_from: &["127.0.0.0/8"], ..Setup::default() };
    let limited = |limits| Setup { limits, ..Setup::default() };
    insta::assert_snapshot!(logged(Setup::default(), header).await, @"WARN a connection is closed listener=main peer=127.0.0.1:PORT reason=it sent a PROXY header, and 127.0.0.1 is not listed in proxy_from; list it there if it is a balancer of yours left_out=0");
    insta::assert_snapshot!(logged(listed(), b"\x16\x03\x01").await, @"WARN a connection is closed listener=main peer=127.0.0.1:PORT reason=127.0.0.1 is listed in proxy_from, and did not begin with a PROXY header of version 2; have the balancer send one left_out=0");
    insta::assert_snapshot!(logged(listed(), b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0").await, @"WARN a connection is closed listener=main peer=127.0.0.1:PORT reason=no valid PROXY header of version 2: Expected version 30 to be equal to 2. left_out=0");
    let nobody = Limits { connections_per_address: 0, ..Limits::default() };
    insta::assert_snapshot!(logged(limited(nobody), b"\x16").await, @"WARN a connection is closed listener=main peer=127.0.0.1:PORT reason=its address 127.0.0.1 has as many connections as one may have (connections_per_address) left_out=0");
    let nothing = Limits { connections: 0, ..Limits::default() };
    insta::assert_snapshot!(logged(limited(nothing), b"\x16").await, @"WARN a connection is closed: the hub has as many as it may have (connections) listener=main peer=127.0.0.1:PORT limit=0 left_out=0");
}
