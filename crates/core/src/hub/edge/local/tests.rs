//! The socket for the operator: who may use it, and what its file looks like.

use std::os::unix::fs::PermissionsExt;

use axum::Router;
use axum::extract::Extension;
use axum::routing::get as route;

use super::super::tests::bench::{get, http1_client, text};
use super::super::{Identities, Limits, Shutdown};
use super::*;

fn serving(shutdown: &Shutdown) -> Server {
    let router = Router::new()
        .route("/", route(async |Extension(peer): Extension<LocalPeer>| format!("uid {}", peer.uid)));
    Server::new(router, Identities::new(), Limits::default(), shutdown.clone())
}

#[tokio::test]
async fn the_operator_is_served_and_the_file_goes_with_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.sock");
    let shutdown = Shutdown::new();
    let listener = bind(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let server = serving(&shutdown);
    let end = tokio::spawn(async move { server.serve_local(listener).await });

    let mut client = http1_client(UnixStream::connect(&path).await.unwrap()).await;
    let uid = nix::unistd::getuid().as_raw();
    assert_eq!(text(client.send_request(get("/")).await.unwrap()).await, format!("uid {uid}"));

    shutdown.stop();
    end.await.unwrap();
    assert!(!path.exists(), "the socket's file is removed");
}

#[tokio::test]
async fn a_dead_hubs_socket_is_replaced_and_a_live_ones_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.sock");
    drop(StdListener::bind(&path).unwrap());
    assert!(path.exists(), "std leaves the file behind, as a killed hub does");

    let live = bind(&path).unwrap();
    assert!(matches!(bind(&path), Err(LocalError::InUse(_))));
    assert!(path.exists());
    drop(live);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_took_the_sockets_place_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.sock");
    let live = bind(&path).unwrap();
    std::fs::write(folder.path().join("other"), "precious").unwrap();
    std::fs::rename(folder.path().join("other"), &path).unwrap();
    drop(live);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    let refused = bind(&path).unwrap_err();
    assert!(matches!(refused, LocalError::NotASocket(_)), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_long_path_is_refused_with_its_length_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let room = LONGEST_PATH - folder.path().as_os_str().len() - 1;
    let fits = folder.path().join("s".repeat(room));
    bind(&fits).unwrap();
    let message = bind(&folder.path().join("s".repeat(room + 1))).unwrap_err().to_string();
    assert!(
        message.contains("108 octets") && message.contains("107") && message.contains("NAVE_DIR"),
        "{message}"
    );
}

#[tokio::test]
async fn root_and_the_owner_may_enter_and_nobody_else() {
    let server = serving(&Shutdown::new());
    for (uid, owner, enters) in [(0, 1000, true), (1000, 1000, true), (1001, 1000, false), (1000, 0, false)] {
        let (near, far) = UnixStream::pair().unwrap();
        server.admit_local(far, uid, owner);
        let answer = http1_client(near).await.send_request(get("/")).await;
        assert_eq!(answer.is_ok(), enters, "uid {uid} of owner {owner}");
        if let Ok(answer) = answer {
            assert_eq!(text(answer).await, format!("uid {uid}"));
        }
    }
}
