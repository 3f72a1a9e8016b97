//! No route without a row: every row is tried by somebody who may not use it.

use std::sync::Arc;

use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use nave_core::api::Role;
use nave_core::hub::http::{Access, core_routes};
use nave_core::hub::paths::Owner;
use nave_core::hub::streams;
use nave_link::certificate;
use nave_link::dial::{self, Known};
use nave_link::key::SecretKey;
use nave_link::random::Random;
use nave_testkit::hub::TestHub;
use nave_testkit::node::TestNode;
use nave_testkit::person::TestPerson;

use crate::operations::send;

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
    let (hub, member) = hub_with_member().await?;
    let stranger = Known { key: Arc::new(SecretKey::generate(&Random::system())), ..member.clone() };
    for row in &hub.running().routes {
        let path = example(&row.path);
        let nobody = send(&hub, b"", row.method.as_str(), &path, "content-length: 1\r\n\r\n{").await?;
        let status = nobody.split(' ').nth(1).unwrap_or_default();
        match row.access {
            Access::Open | Access::Proof | Access::Metrics | Access::Listed => continue,
            Access::Page(_) | Access::OwnPage => {
                let to_sign_in = nobody.contains("\r\nlocation: /sign-in");
                // A page that is open still hears that the session has ended, and nothing else.
                let ended = nobody.ends_with("\r\n\r\nevent: ended\ndata:\n\n");
                assert!(status == "303" && to_sign_in || status == "403" || ended, "{row}: {nobody}");
                continue;
            }
            Access::Action(_) | Access::OwnOr(_) | Access::SignedIn | Access::Known => {
                assert_eq!(status, "401", "{row}: nobody, with a broken body: {nobody}");
            }
        }
        let answer = dial::api(&stranger).await?.send(request(&row.method, &path)).await?;
        assert_eq!(answer.status(), 401, "{row}: a stranger");
        // What a node gets that is a member: it may do nothing here but look at what is its own.
        let expected: &[u16] = match row.access {
            // It did not say which program it wants a token for.
            Access::Known if row.method == Method::POST => &[400],
            Access::OwnOr(streams::READ) | Access::Known => &[200],
            Access::OwnOr(_) => &[403, 404],
            _ => &[403],
        };
        let answer = dial::api(&member).await?.send(request(&row.method, &path)).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        let told = String::from_utf8_lossy(&body);
        assert!(expected.contains(&status), "{row}: a member got {status} {told}");
    }
    Ok(())
}

#[tokio::test]
async fn every_action_takes_the_role_that_the_table_says() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    for role in [Role::Viewer, Role::Researcher, Role::Operator] {
        let person = TestPerson::invite(&hub, role.word(), &[(role, "*")]).await?;
        let cookie = format!("cookie: {}\r\nsec-fetch-site: same-origin\r\n", person.cookie());
        for row in &hub.running().routes {
            let (action, page) = match row.access {
                Access::Action(action) => (action, false),
                Access::Page(action) => (action, true),
                _ => continue,
            };
            // What may be done is not tried, but for what only reads.
            if action.roles.contains(role) && row.method != Method::GET {
                continue;
            }
            // A live page never ends.
            if row.path.contains("/live") {
                continue;
            }
            let headers = if row.method == Method::GET {
                cookie.clone()
            } else {
                format!("{cookie}content-length: 2\r\n\r\n{{}}")
            };
            let answer = send(&hub, b"", row.method.as_str(), &example(&row.path), &headers).await?;
            let refused = answer.starts_with("HTTP/1.1 403");
            assert_eq!(
                refused,
                !action.roles.contains(role),
                "{row}: {} (page: {page}): {answer}",
                role.word()
            );
        }
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
        assert!(
            matches!(owner, Owner::NativeApi | Owner::Nodes | Owner::Operations | Owner::OpenId),
            "{row}: {owner:?}"
        );
    }
}
