//! The description of the API and the answers that no handler gives: it describes every operation, and what cannot be
//! read is refused in one shape, to whom the hub knows.

use std::collections::BTreeSet;

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nave_core::api::{ErrorBody, NewApiToken, Role};
use nave_core::hub::http::{Access, core_routes};
use nave_core::hub::paths::Owner;
use nave_core::hub::people::tokens;
use nave_link::certificate;
use nave_testkit::hub::TestHub;
use nave_testkit::need;
use nave_testkit::person::TestPerson;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

type Answer = (StatusCode, HeaderMap, Bytes);

async fn ask(hub: &TestHub, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
    let tcp = TcpStream::connect(hub.address()).await?;
    let name = rustls::pki_types::ServerName::try_from("hub")?;
    let io = TlsConnector::from(certificate::by_key()).connect(name, tcp).await?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(driver);
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok((head.status, head.headers, body.collect().await?.to_bytes()))
}

fn request(method: &Method, path: &str, kind: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "hub")
        .header(header::CONTENT_TYPE, kind)
        .body(Full::new(body.into()))
        .unwrap()
}

const JSON: &str = "application/json";

/// A path with something in the place of every parameter.
fn example(path: &str, value: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { value } else { part }).collect::<Vec<_>>().join("/")
}

fn document() -> Value {
    serde_json::to_value(core_routes().document()).unwrap()
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.to_uppercase().parse().unwrap(), path.clone(), operation.clone()));
        }
    }
    operations
}

#[test]
fn every_route_of_the_api_is_described_and_nothing_else() {
    let described: BTreeSet<(String, String)> =
        operations(&document()).into_iter().map(|(method, path, _)| (method.to_string(), path)).collect();
    let routes = core_routes();
    let rows = routes.rows().iter().filter(|row| Owner::NativeApi.owns(&row.path));
    let declared: BTreeSet<(String, String)> =
        rows.map(|row| (row.method.to_string(), row.path.clone())).collect();
    assert_eq!(described, declared);
}

#[test]
fn every_operation_says_what_it_does_and_who_may() {
    let (document, routes) = (document(), core_routes());
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let place = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{place}: {id} is another one's");
        for name in ["summary", "description"] {
            assert!(operation[name].as_str().is_some_and(|text| text.ends_with('.')), "{place}: {name}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{place}: {parameter}");
        }
        let row = routes.rows().iter().find(|row| row.method == method && row.path == path).unwrap();
        let schemes = operation["security"].as_array().unwrap();
        assert_eq!(schemes.is_empty(), row.access == Access::Open, "{place}");
        assert_eq!(operation["responses"].get("401").is_none(), schemes.is_empty(), "{place}");
        if let Access::Action(action) = row.access {
            assert_eq!(operation["x-nave-action"], action.name, "{place}");
        }
    }
    insta::assert_snapshot!("operations", Vec::from_iter(ids).join("\n"));
}

#[test]
fn every_field_says_what_it_is() {
    let document = document();
    for (shape, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{shape}");
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            let alternatives = schema["oneOf"].as_array().into_iter().flatten();
            let described = alternatives.chain([schema]).any(|schema| schema["description"].is_string());
            assert!(described, "{shape}.{field}");
        }
    }
}

#[tokio::test]
async fn the_hub_serves_its_description_to_everybody() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let (status, headers, body) = ask(&hub, request(&Method::GET, "/nave/v1/openapi.json", JSON, "")).await?;
    assert_eq!((status, headers[header::CONTENT_TYPE].to_str()?), (StatusCode::OK, JSON));
    assert_eq!(serde_json::from_slice::<Value>(&body)?, document());
    Ok(())
}

#[tokio::test]
async fn who_is_not_known_learns_nothing_about_what_is_wrong() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    for row in core_routes().rows() {
        let private = match row.access {
            Access::Action(_) | Access::OwnOr(_) | Access::SignedIn | Access::Known => true,
            Access::Proof => Owner::NativeApi.owns(&row.path),
            _ => false,
        };
        if !private {
            continue;
        }
        for (value, query, kind, body) in [
            ("x", "", JSON, "{}".to_owned()),
            ("x", "", JSON, "{".to_owned()),
            ("x", "", "text/plain", "hello".to_owned()),
            ("%FF", "", JSON, String::new()),
            ("%00", "?all=maybe&nothing=1&limit=x", JSON, "[1]".to_owned()),
            ("x", "?full=%00", JSON, "x".repeat(300 << 10)),
        ] {
            let path = format!("{}{query}", example(&row.path, value));
            let (status, _, body) = ask(&hub, request(&row.method, &path, kind, body)).await?;
            assert_eq!(status, 401, "{row}: {path}: {}", String::from_utf8_lossy(&body));
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_one_shape() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(300 << 10));
    for (method, path, kind, body, status, code, field) in [
        ("POST", "/nave/v1/people", JSON, "{", 400, "invalid", Some("body")),
        ("POST", "/nave/v1/people", JSON, "\u{0}", 400, "invalid", Some("body")),
        ("POST", "/nave/v1/people", JSON, "[\"ada@example.org\"]", 400, "invalid", Some("body")),
        ("POST", "/nave/v1/people", JSON, r#"{"email": 5, "roles": []}"#, 400, "invalid", Some("email")),
        (
            "POST",
            "/nave/v1/people",
            JSON,
            r#"{"email": "a\u0000@b", "roles": []}"#,
            400,
            "invalid",
            Some("body"),
        ),
        ("POST", "/nave/v1/people", JSON, r#"{"mail": ""}"#, 400, "invalid", Some("mail")),
        ("POST", "/nave/v1/people", JSON, &long, 413, "too_large", None),
        ("POST", "/nave/v1/people", "text/plain", "{}", 415, "unsupported_media_type", None),
        (
            "POST",
            "/nave/v1/invites",
            JSON,
            r#"{"grants": [{"scope": 1}]}"#,
            400,
            "invalid",
            Some("grants[0].scope"),
        ),
        ("GET", "/nave/v1/nodes?all=maybe", JSON, "", 400, "invalid", Some("all")),
        ("GET", "/nave/v1/nodes?every=true", JSON, "", 400, "invalid", Some("every")),
        ("GET", "/nave/v1/nodes?all=true&all=true", JSON, "", 400, "invalid", Some("query")),
        ("GET", "/nave/v1/events?limit=0", JSON, "", 400, "invalid", Some("limit")),
        ("GET", "/nave/v1/events?limit=-1", JSON, "", 400, "invalid", Some("limit")),
        ("GET", "/nave/v1/events?since=yesterday", JSON, "", 400, "invalid", Some("since")),
        ("GET", "/nave/v1/events?actor=%00", JSON, "", 400, "invalid", Some("query")),
        ("GET", "/nave/v1/access-requests?status=lost", JSON, "", 400, "invalid", Some("status")),
        ("GET", "/nave/v1/nodes/%FF", JSON, "", 400, "invalid", Some("path")),
        ("GET", "/nave/v1/nodes/%00", JSON, "", 400, "invalid", Some("path")),
        ("GET", "/nave/v1/nodes/x", JSON, "", 404, "not_found", None),
        ("GET", "/nave/v1/nothing", JSON, "", 404, "not_found", None),
        ("PUT", "/nave/v1/nodes/x", JSON, "", 405, "method_not_allowed", None),
        ("DELETE", "/nave/v1/tokens/x", JSON, "", 404, "not_found", None),
    ] {
        let mut request = request(&method.parse()?, path, kind, body.to_owned());
        request.headers_mut().insert(header::COOKIE, ada.cookie().parse()?);
        request.headers_mut().insert("sec-fetch-site", "same-origin".parse()?);
        let (got, headers, body) = ask(&hub, request).await?;
        let place = format!("{method} {path}: {}", String::from_utf8_lossy(&body));
        assert_eq!(got.as_u16(), status, "{place}");
        assert_eq!(headers[header::CONTENT_TYPE], JSON, "{place}");
        assert_eq!(headers[header::CONTENT_LENGTH], body.len().to_string(), "{place}");
        let error = serde_json::from_slice::<ErrorBody>(&body)?.error;
        assert_eq!((error.code.as_str(), error.field.as_deref()), (code, field), "{place}");
        assert_eq!(error.request.as_deref(), Some(headers["nave-request-id"].to_str()?), "{place}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_and_says_how_long_it_would_be() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let (status, headers, body) = ask(&hub, request(&Method::HEAD, "/nave/v1/hub", JSON, "")).await?;
    assert_eq!(status, 401);
    assert!(body.is_empty() && headers.contains_key(header::CONTENT_LENGTH));
    Ok(())
}

#[tokio::test]
async fn the_commands_of_the_page_do_what_it_says() -> anyhow::Result<()> {
    if !need("curl") {
        return Ok(());
    }
    let hub = TestHub::start().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let new =
        NewApiToken { name: "page".to_owned(), role: Role::Admin, scope: "*".to_owned(), ttl_seconds: 600 };
    let token = tokens::make(&ada.op(&hub).await?, hub.hub(), &new).await?.secret;
    let page = include_str!("../../../../docs/api.md");
    let commands: Vec<&str> = page.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(commands.len(), 4);
    for command in commands {
        let command = command
            .replace("curl ", "curl --silent --show-error --fail-with-body ")
            .replace("/var/lib/nave", &hub.path().to_string_lossy())
            .replace("hub.example.org:3101", &hub.address().to_string());
        let mut shell = tokio::process::Command::new("sh");
        shell.arg("-c").arg(&command).env("TOKEN", &token).current_dir(hub.path().join("cert"));
        let told = shell.output().await?;
        let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
        assert!(told.status.success(), "{command}: {out}{err}");
        assert!(serde_json::from_str::<Value>(&out).is_ok(), "{command}: {out}");
    }
    Ok(())
}
