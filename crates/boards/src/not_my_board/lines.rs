//! A channel on a Unix socket: every message is a line.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::channel::{Channel, Methods, Outgoing, Serving};

/// The longest line, in bytes.
const LONGEST: usize = 16 << 20;

/// Serves a connection until it ends; by then every request has ended too.
pub(crate) async fn serve(
    stream: UnixStream,
    (channel, mut queue): (Channel, Outgoing),
    methods: Arc<dyn Methods>,
    stop: CancellationToken,
) {
    let (reader, mut writer) = stream.into_split();
    let serving = Serving::new(channel.clone(), methods);
    let read = async {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader).take(LONGEST as u64).read_until(b'\n', &mut line).await;
            // A line without an end is no message: either the connection ended in it, or it is too long.
            if read.is_err() || line.pop() != Some(b'\n') {
                return;
            }
            serving.hear(&line).await;
        }
    };
    let write = async {
        while let Some(mut message) = queue.recv().await {
            message.push(b'\n');
            if writer.write_all(&message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
        () = stop.cancelled() => {}
        () = channel.closing() => {}
    }
    channel.end();
    drop(queue);
    serving.end().await;
}
