//! Two peers on one in-memory WebSocket.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

#[derive(Serialize, Deserialize)]
struct Double(u32);

impl Method for Double {
    const NAME: &'static str = "double";
    type Answer = u32;
}

#[derive(Serialize, Deserialize)]
struct Hang;

impl Method for Hang {
    const NAME: &'static str = "hang";
    type Answer = ();
}

#[derive(Serialize, Deserialize)]
struct Unknown;

impl Method for Unknown {
    const NAME: &'static str = "unknown";
    type Answer = ();
}

#[derive(Default)]
struct Answers {
    notices: Mutex<Vec<String>>,
    hanging: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

struct Hanging(Arc<AtomicUsize>, Arc<Notify>);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        self.1.notify_waiters();
    }
}

impl Handler for Answers {
    fn call(
        &self,
        method: String,
        params: Box<RawValue>,
    ) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
        let (hanging, changed) = (Arc::clone(&self.hanging), Arc::clone(&self.changed));
        async move {
            match method.as_str() {
                "double" => {
                    let Double(number) = serde_json::from_str(params.get())
                        .map_err(|error| RpcError::new(code::INVALID_PARAMS, error.to_string()))?;
                    Ok(serde_json::value::to_raw_value(&(number * 2)).unwrap())
                }
                "hang" => {
                    hanging.fetch_add(1, Ordering::SeqCst);
                    let _hanging = Hanging(hanging, changed);
                    std::future::pending().await
                }
                _ => Err(RpcError::unknown_method(&method)),
            }
        }
        .boxed()
    }

    fn notice(&self, method: &str, params: &RawValue) {
        self.notices.lock().unwrap().push(format!("{method} {params}"));
        self.changed.notify_waiters();
    }
}

const LIMITS: Limits =
    Limits { heartbeat: Some(Duration::from_secs(10)), lost_after: Duration::from_secs(30) };
const SOON: Duration = Duration::from_secs(5);

async fn pair() -> (Peer, Peer, Arc<Answers>) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let near = WebSocketStream::from_raw_socket(near, Role::Client, Some(websocket_config())).await;
    let far = WebSocketStream::from_raw_socket(far, Role::Server, Some(websocket_config())).await;
    let answers = Arc::new(Answers::default());
    let answering = Arc::clone(&answers) as Arc<dyn Handler>;
    (Peer::start(near, Arc::new(Answers::default()), LIMITS), Peer::start(far, answering, LIMITS), answers)
}

#[tokio::test]
async fn requests_are_answered_in_both_directions() {
    let (near, far, _) = pair().await;
    assert_eq!(near.call(&Double(21), SOON).await.unwrap(), 42);
    assert_eq!(far.call(&Double(4), SOON).await.unwrap(), 8);
}

#[tokio::test]
async fn an_unknown_method_is_answered_with_an_error() {
    let (near, _far, _) = pair().await;
    let Err(CallError::Refused(error)) = near.call(&Unknown, SOON).await else { panic!("it was answered") };
    assert_eq!(error.code, code::UNKNOWN_METHOD);
    assert_eq!(near.call(&Double(1), SOON).await.unwrap(), 2, "the link goes on");
}

#[tokio::test]
async fn a_request_that_times_out_is_cancelled_on_the_other_side() {
    let (near, _far, answers) = pair().await;
    let error = near.call(&Hang, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout(_)), "{error}");
    while answers.hanging.load(Ordering::SeqCst) > 0 {
        let changed = answers.changed.notified();
        if answers.hanging.load(Ordering::SeqCst) > 0 {
            changed.await;
        }
    }
}

#[tokio::test]
async fn too_many_requests_are_refused_and_the_link_goes_on() {
    let (near, _far, _) = pair().await;
    let hanging: Vec<_> = (0..WEBSOCKET_LIMITS.1)
        .map(|_| {
            let near = near.clone();
            tokio::spawn(async move { near.call(&Hang, SOON * 10).await })
        })
        .collect();
    let busy = loop {
        match near.call(&Double(1), SOON).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(busy, CallError::Refused(RpcError { code: code::BUSY, .. })), "{busy}");
    for call in hanging {
        call.abort();
        let _ = call.await;
    }
    while near.call(&Double(1), SOON).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn closing_tells_the_other_side_why_and_fails_what_waits() {
    let (near, far, _) = pair().await;
    let waiting = tokio::spawn({
        let near = near.clone();
        async move { near.call(&Hang, SOON * 10).await }
    });
    far.call(&Double(1), SOON).await.unwrap();
    far.close("the node was revoked");
    assert_eq!(near.closed().await.0, "the node was revoked");
    let error = waiting.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("the node was revoked"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_link() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let near = WebSocketStream::from_raw_socket(near, Role::Client, Some(websocket_config())).await;
    let near = Peer::start(near, Arc::new(Answers::default()), LIMITS);
    assert_eq!(near.closed().await.0, "nothing was heard for 30 s");
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_an_idle_link() {
    let (near, far, _) = pair().await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert!(!near.is_closed() && !far.is_closed());
}

#[test]
fn messages_survive_their_text() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"stream.open","params":{"node":"lab"}}"#,
        r#"{"jsonrpc":"2.0","method":"stream.cut","params":null}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":[1,2]}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no","data":"why"}}"#,
    ] {
        assert_eq!(Message::parse(text).unwrap().to_text(), text);
    }
    assert!(
        Message::parse(r#"{"id":1,"method":"x","from":"the future"}"#).is_ok(),
        "unknown fields are fine"
    );
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"id":-1,"method":"x"}"#,
        r#"{"id":1,"result":1,"error":{"code":1,"message":""}}"#,
    ] {
        assert!(Message::parse(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,200}") {
        if let Ok(message) = Message::parse(&text) {
            Message::parse(&message.to_text()).unwrap();
        }
    }
}
