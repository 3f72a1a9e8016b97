//! What people do in the browser while they follow a page: open a one-time link, set up a second factor, let a device
//! in. The console's own tests look at its pages; here they are forms that curl sends.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use nave_core::clock::Clock;
use nave_testkit::net::Host;
use nave_testkit::person;

/// Somebody in front of a browser.
#[derive(Debug)]
pub struct Visitor {
    cookies: PathBuf,
}

impl Visitor {
    /// Comes in by a one-time link, and sets up a second factor.
    pub async fn accept(host: &Host, link: &str, email: &str, name: &str) -> anyhow::Result<Self> {
        let visitor = Self { cookies: host.home().join(format!("{email}.cookies")) };
        visitor.send(host, link, &[]).await?;
        let fields = [("email", email), ("name", name), ("password", person::PASSWORD)];
        let page = visitor.send(host, link, &fields).await?;
        let seed = between(&page, "data-copy>", "<").context("a seed")?.replace(' ', "");
        let code = person::code(&seed, Clock::system().now().unix_timestamp());
        let base = link.rsplitn(3, '/').nth(2).context("a link has a host")?;
        let token = form_token(&page)?;
        let fields = [("form_token", token), ("next", "/"), ("code", &code)];
        let page = visitor.send(host, &format!("{base}/sign-in/enroll"), &fields).await?;
        ensure!(page.contains("ecovery codes"), "{email} is not in: {page}");
        Ok(visitor)
    }

    /// Lets in the device that shows this address.
    pub async fn let_in(&self, host: &Host, address: &str) -> anyhow::Result<()> {
        let page = self.send(host, address, &[]).await?;
        let (url, code) = address.split_once("?code=").context("the address holds a code")?;
        ensure!(page.contains(code), "the page does not show {code}: {page}");
        let fields = [("form_token", form_token(&page)?), ("code", code), ("decision", "approve")];
        self.send(host, url, &fields).await.map(drop)
    }

    async fn send(&self, host: &Host, url: &str, fields: &[(&str, &str)]) -> anyhow::Result<String> {
        let cookies = self.cookies.to_str().context("a path of plain text")?;
        // The person has compared the fingerprint, and went on.
        let mut arguments = vec!["--insecure", "--silent", "--show-error", "--fail-with-body", "--location"];
        arguments.extend(["--cookie", cookies, "--cookie-jar", cookies]);
        arguments.extend(["--header", "Sec-Fetch-Site: same-origin", "--header", "Accept: text/html"]);
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        arguments.extend(fields.iter().flat_map(|field| ["--data-urlencode", field]));
        arguments.push(url);
        host.read("curl", &arguments).await
    }
}

fn form_token(page: &str) -> anyhow::Result<&str> {
    between(page, "name=\"form_token\" value=\"", "\"").context("the page has no form")
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once(end).map(|(found, _)| found)
}
