//! As much of a browser as signing in takes: cookies, redirects, forms. It runs no scripts and draws nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// More redirects than any sign-in takes.
const MOST_STEPS: usize = 30;

/// A browser.
pub struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
}

/// What a browser was answered.
#[derive(Debug)]
pub struct Page {
    /// Where it is.
    pub url: Url,
    /// Its status.
    pub status: u16,
    /// Where it sends the browser on to.
    pub next: Option<Url>,
    /// Its text.
    pub text: String,
}

impl Browser {
    /// One that trusts these certificates and no others.
    pub fn trusting(pem: &[u8]) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, cookies: BTreeMap::new() })
    }

    /// The value of a cookie that it holds.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Opens an address.
    pub async fn get(&mut self, url: &Url) -> anyhow::Result<Page> {
        let request = self.client.request(Method::GET, url.clone());
        self.send(request, url).await
    }

    /// Sends a form.
    pub async fn post(&mut self, url: &Url, fields: &[(&str, &str)]) -> anyhow::Result<Page> {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.client.request(Method::POST, url.clone());
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let request = request.header(ORIGIN, url.origin().ascii_serialization());
        self.send(request, url).await
    }

    /// Signs in at the provider as `login`, agreeing to everything, from the address that a hub sent the browser to.
    /// Returns the address that the provider sends the browser back to, which is not opened.
    pub async fn sign_in(&mut self, url: &Url, login: &str) -> anyhow::Result<Url> {
        let provider = url.origin();
        let mut page = self.get(url).await?;
        for _ in 0..MOST_STEPS {
            page = match &page.next {
                Some(next) if next.origin() != provider => return Ok(next.clone()),
                Some(next) => self.get(&next.clone()).await?,
                None => {
                    let action =
                        page.form().with_context(|| format!("no form at {}: {}", page.url, page.text))?;
                    let prompt = if page.asks_who() { "login" } else { "consent" };
                    self.post(&action, &[("prompt", prompt), ("login", login), ("password", "any")]).await?
                }
            };
        }
        bail!("the provider does not come to an end; the last page was {}", page.url)
    }

    /// Signs out at the provider, from the address that a hub sent the browser to. Returns the address that the
    /// provider sends the browser back to, which is not opened.
    pub async fn sign_out(&mut self, url: &Url) -> anyhow::Result<Url> {
        let page = self.get(url).await?;
        let action = page.form().with_context(|| format!("no form: {}", page.text))?;
        let xsrf = page.hidden("xsrf").context("no hidden field in the form")?;
        let page = self.post(&action, &[("xsrf", &xsrf), ("logout", "yes")]).await?;
        page.next.with_context(|| format!("it sends nobody back: {}", page.text))
    }

    /// Refuses at the provider's first page. Returns as [`Browser::sign_in`] does.
    pub async fn refuse(&mut self, url: &Url) -> anyhow::Result<Url> {
        let page = self.first_page(url).await?;
        let abort = between(&page.text, "<a href=\"", "\"").context("no link to refuse")?;
        let mut next = page.url.join(abort)?;
        for _ in 0..MOST_STEPS {
            if next.origin() != url.origin() {
                return Ok(next);
            }
            next = self.get(&next).await?.next.context("the provider sends nobody back")?;
        }
        bail!("the provider does not come to an end; the last page was {next}")
    }

    /// Whether the provider asks who is there: it does not where it knows the browser.
    pub async fn is_asked_who(&mut self, url: &Url) -> anyhow::Result<bool> {
        Ok(self.first_page(url).await?.asks_who())
    }

    /// The first page that is more than a redirect, or the redirect that leaves the provider.
    async fn first_page(&mut self, url: &Url) -> anyhow::Result<Page> {
        let mut page = self.get(url).await?;
        for _ in 0..MOST_STEPS {
            match page.next.clone() {
                Some(next) if next.origin() == url.origin() => page = self.get(&next).await?,
                _ => return Ok(page),
            }
        }
        bail!("the provider does not come to an end; the last page was {}", page.url)
    }

    async fn send(&mut self, request: RequestBuilder, url: &Url) -> anyhow::Result<Page> {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let response =
            request.header(COOKIE, cookies.join("; ")).header("accept", "text/html").send().await?;
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str()?;
            let (name, value) =
                cookie.split(';').next().and_then(|pair| pair.split_once('=')).context("a cookie")?;
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let next =
            response.headers().get(LOCATION).map(|next| anyhow::Ok(url.join(next.to_str()?)?)).transpose()?;
        Ok(Page { url: url.clone(), status: response.status().as_u16(), next, text: response.text().await? })
    }
}

impl Page {
    fn asks_who(&self) -> bool {
        self.text.contains("name=\"login\"")
    }

    /// Where its form goes.
    fn form(&self) -> Option<Url> {
        let action = between(&self.text, "action=\"", "\"")?;
        self.url.join(&action.replace("&amp;", "&")).ok()
    }

    /// Where its first link whose address begins so leads.
    pub fn link(&self, start: &str) -> Option<Url> {
        let rest = between(&self.text, &format!("href=\"{start}"), "\"")?;
        self.url.join(&format!("{start}{rest}").replace("&#38;", "&").replace("&amp;", "&")).ok()
    }

    /// The value of a hidden field.
    pub fn hidden(&self, name: &str) -> Option<String> {
        between(&self.text, &format!("name=\"{name}\" value=\""), "\"").map(ToOwned::to_owned)
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = &text[text.find(start)? + start.len()..];
    Some(&rest[..rest.find(end)?])
}
