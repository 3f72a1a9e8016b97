//! Somebody with a browser, as far as HTTP goes: one connection with TLS and HTTP/2, the session's cookie, forms with
//! their tokens. What a browser makes of a page is measured in `browser`.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use http::request::Builder;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nave_core::clock::Clock;
use nave_core::hub::http::cookie;
use nave_link::address::HubUrl;
use nave_link::{certificate, dial};
use nave_testkit::person::{self, PASSWORD};
use rustls::ClientConfig;
use rustls::client::Resumption;
use serde_json::{Value, json};

use crate::farm::Hub;

/// Somebody's connection. Clones share it.
#[derive(Clone)]
pub struct Visitor {
    sender: http2::SendRequest<Full<Bytes>>,
    authority: String,
    /// The session's cookie, as `NAME=VALUE`.
    pub cookie: Option<String>,
    /// An API token.
    pub token: Option<String>,
}

/// What somebody signs in with.
#[derive(Clone)]
pub struct Account {
    pub email: String,
    pub seed: String,
    /// The session that setting up the account began.
    pub cookie: Option<String>,
}

/// TLS as a browser speaks it that was never here before.
fn tls() -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&certificate::by_key());
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

impl Visitor {
    /// Connects; nobody is signed in.
    pub async fn to(url: &HubUrl) -> anyhow::Result<Self> {
        let (io, _) = dial::dial(url, tls()).await?;
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
        tokio::spawn(driver);
        Ok(Self { sender, authority: url.authority(), cookie: None, token: None })
    }

    /// As [`Visitor::to`], with somebody's session.
    pub async fn with_cookie(url: &HubUrl, cookie: Option<String>) -> anyhow::Result<Self> {
        Ok(Self { cookie, ..Self::to(url).await? })
    }

    fn request(&self, method: Method, path: &str) -> Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.authority))
            .header(header::ACCEPT_ENCODING, "gzip, deflate, br, zstd");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request
    }

    async fn send(&self, request: Builder, body: impl Into<Bytes>) -> anyhow::Result<Response<Incoming>> {
        let request = request.body(Full::new(body.into()))?;
        let mut sender = self.sender.clone();
        sender.ready().await?;
        Ok(sender.send_request(request).await?)
    }

    /// Asks for something, and returns as soon as its headers are there.
    pub async fn get(&self, path: &str) -> anyhow::Result<Response<Incoming>> {
        let answer = self.send(self.request(Method::GET, path), Bytes::new()).await?;
        ensure!(answer.status() == StatusCode::OK, "{path}: {}", answer.status());
        Ok(answer)
    }

    /// Asks for something whole.
    pub async fn page(&self, path: &str) -> anyhow::Result<Bytes> {
        Ok(self.get(path).await?.into_body().collect().await?.to_bytes())
    }

    /// Sends what changes something, as one of the hub's own pages does.
    async fn post(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: String,
    ) -> anyhow::Result<(Response<()>, Bytes)> {
        let request = self
            .request(method, path)
            .header(header::ORIGIN, format!("https://{}", self.authority))
            .header(header::CONTENT_TYPE, kind);
        let (parts, body) = self.send(request, body).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let told = String::from_utf8_lossy(&body[..body.len().min(500)]);
        ensure!(parts.status.as_u16() < 400, "{path}: {}: {told}", parts.status);
        Ok((Response::from_parts(parts, ()), body))
    }

    /// Asks the API to do something.
    pub async fn api(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (_, answer) = self.post(method, path, "application/json", body.to_string()).await?;
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer)? })
    }

    /// Sends a form, and keeps the cookie that comes back.
    async fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<()> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let (answer, _) = self.post(Method::POST, path, "application/x-www-form-urlencoded", body).await?;
        for set in answer.headers().get_all(header::SET_COOKIE) {
            let pair = set.to_str()?.split(';').next().unwrap_or_default();
            if pair.starts_with(&format!("{}=", cookie::NAME)) {
                self.cookie = Some(pair.to_owned());
            }
        }
        Ok(())
    }

    /// Sets up an account by a one-time link, with a second factor, to the end of the sign-in.
    async fn accept(&mut self, link: &str, email: &str, name: &str) -> anyhow::Result<Account> {
        let path =
            link.strip_prefix(&format!("https://{}", self.authority)).context("the link leads elsewhere")?;
        self.form(path, &[("email", email), ("name", name), ("password", PASSWORD)]).await?;
        let page = self.text("/sign-in/enroll").await?;
        let seed = between(&page, "data-copy>", "<")?.replace(' ', "");
        let code = person::code(&seed, now());
        let fields = [("form_token", token(&page)?), ("next", "/"), ("code", code.as_str())];
        self.form("/sign-in/enroll", &fields).await?;
        Ok(Account { email: email.to_owned(), seed, cookie: self.cookie.clone() })
    }

    /// Signs in as a person does: the password, the page that asks for the code, the code. A code is good once, so this
    /// takes the one that the app shows next, which the hub takes already.
    pub async fn sign_in(&mut self, account: &Account) -> anyhow::Result<()> {
        self.cookie = None;
        self.form("/sign-in", &[("next", "/"), ("email", &account.email), ("password", PASSWORD)]).await?;
        let page = self.text("/sign-in/code?next=%2F").await?;
        let code = person::code(&account.seed, now() + 30);
        self.form("/sign-in/code", &[("form_token", token(&page)?), ("next", "/"), ("code", &code)]).await
    }

    async fn text(&self, path: &str) -> anyhow::Result<String> {
        Ok(String::from_utf8(self.page(path).await?.into())?)
    }
}

/// The first administrator of a hub, signed in.
pub async fn administrator(hub: &Hub) -> anyhow::Result<Visitor> {
    let made: Value = serde_json::from_str(&hub.command(&["user", "setup", "--json"]).await?)?;
    let link = made["link"].as_str().context("the hub has no administrator yet")?;
    let mut visitor = Visitor::to(&hub.url()).await?;
    visitor.accept(link, "ada@example.org", "Ada").await?;
    Ok(visitor)
}

/// Invites somebody; returns the id and the link.
pub async fn invite(
    admin: &Visitor,
    number: usize,
    role: &str,
    scope: &str,
) -> anyhow::Result<(String, String)> {
    let new = json!({
        "email": address(number),
        "name": name(number),
        "roles": [{ "role": role, "scope": scope }],
    });
    let made = admin.api(Method::POST, "/nave/v1/people", &new).await?;
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned).context("the invitation is not whole");
    Ok((text(&made["person"]["id"])?, text(&made["link"])?))
}

/// So many operators who have come in, each with a session.
pub async fn operators(hub: &Hub, admin: &Visitor, count: usize) -> anyhow::Result<Vec<Account>> {
    let mut accounts = Vec::with_capacity(count);
    let mut visitor = Visitor::to(&hub.url()).await?;
    for number in 0..count {
        let (_, link) = invite(admin, number, "operator", "*").await?;
        visitor.cookie = None;
        accounts.push(visitor.accept(&link, &address(number), &name(number)).await?);
    }
    Ok(accounts)
}

fn address(number: usize) -> String {
    format!("person-{number}@example.org")
}

fn name(number: usize) -> String {
    format!("Person {number}")
}

fn token(page: &str) -> anyhow::Result<&str> {
    between(page, "name=\"form_token\" value=\"", "\"")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> anyhow::Result<&'a str> {
    let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    Ok(found.with_context(|| format!("the page has no {before:?}"))?.0)
}

fn now() -> i64 {
    Clock::system().now().unix_timestamp()
}
