//! No route without a row: every row is tried by somebody who may not use it.

use std::sync::Arc;

use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use nave_core::hub::http::{Access, core_routes};
use nave_core::hub::paths::Owner;
use nave_core::hub::streams;
use nave_link::certificate;
use nave_link::dial::{self, Known};
use nave_link::key::SecretKey;
use nave_link::random::Random;
use nave_testkit::hub::TestHub;
use nave_testkit::node::TestNode;

fn request(method: &Method, path: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(path).body(Full::new(Bytes::from_static(b"{}"))).unwrap()
}

/// A path with something in the place of every parameter.
fn example(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
}

async fn hub_with_member() -> anyhow::Result<(TestHub, Known)> {
    let hub = TestHub::start().await?;
    let node = TestNode::join(&hub, "lab", &[], &[]).await?;
    let key = node.folder.key(&Random::system())?;
    let known = Known { url: hub.url(), hub: hub.hub().key.public(), key, tls: certificate::by_key() };
    Ok((hub, known))
}

#[tokio::test]
async fn every_route_refuses_whom_it_should() -> anyhow::Result<()> {
    let (_hub, member) = hub_with_member().await?;
    let stranger = Known { key: Arc::new(SecretKey::generate(&Random::system())), ..member.clone() };
    for row in core_routes().rows() {
        // What a node gets that is a member: it may do nothing here but look at what is its own.
        let expected: &[u16] = match row.access {
            Access::Action(_) | Access::SignedIn => &[403],
            Access::OwnOr(streams::READ) | Access::Known => &[200],
            Access::OwnOr(_) => &[403, 404],
            Access::Open | Access::Proof | Access::Metrics | Access::Page(_) | Access::OwnPage => continue,
        };
        let answer = dial::api(&stranger).await?.send(request(&row.method, &example(&row.path))).await?;
        assert_eq!(answer.status(), 401, "{row}: a stranger");
        let answer = dial::api(&member).await?.send(request(&row.method, &example(&row.path))).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        assert!(
            expected.contains(&status),
            "{row}: a member got {status} {}",
            String::from_utf8_lossy(&body)
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_proof_is_worth_nothing_on_another_connection() -> anyhow::Result<()> {
    let (_hub, known) = hub_with_member().await?;
    let mut right = dial::api(&known).await?;
    assert_eq!(right.send(request(&Method::GET, "/nave/v1/streams")).await?.status(), 200);
    let mut replayed = dial::api(&known).await?;
    replayed.replay(&right);
    assert_eq!(replayed.send(request(&Method::GET, "/nave/v1/streams")).await?.status(), 401);
    Ok(())
}

#[test]
fn the_core_keeps_to_its_own_paths() {
    for row in core_routes().rows() {
        let owner = Owner::of(&row.path);
        assert!(matches!(owner, Owner::NativeApi | Owner::Nodes | Owner::Operations), "{row}: {owner:?}");
    }
}
