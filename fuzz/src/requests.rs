//! Whole requests to a hub that runs: lines, headers, cookies, query strings and forms, from strangers and from an
//! administrator with a session. Whatever comes, the hub answers, and never that it failed.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nave_core::api::Role;
use nave_link::certificate;
use nave_testkit::hub::TestHub;
use nave_testkit::person::TestPerson;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Inputs to begin with: a number that chooses the route, then what stands in its path, the query, the cookies, the other
/// credentials, the id that a live page had last, and the body, each on a line of its own; the body may have more. A browser
/// that is signed in begins its cookies with `$COOKIE`, and its forms with `$FORM`.
pub(crate) const SEEDS: &[&[u8]] = &[
    b"11\nlab\nq=lab&state=connected&sort=-seen&page=2\n$COOKIE; nave-theme=dark\n\n\n",
    b"3\nada\nactor=ada&action=node&object=lab&since=2026-01-01T00%3A00&until=2026-02-01T00%3A00&before=7\n$COOKIE\n\n\n",
    b"17\naudit.csv\nafter=0&limit=1000\n__Host-nave=; $COOKIE; __Host-nave-notice=good%20x\n\n18\n",
    b"60\nlab\n\n$COOKIE\n\n\nform_token=$FORM&name=lab&roles=exporter&roles=site&allow=127.0.0.1%3A8080&open=lab%3A80&uses=1&ttl=86400",
    b"71\nx\n\n$COOKIE\n\n\nform_token=$FORM&email=grace%40example.org&name=Grace&roles=viewer&where=*&code=123456&password=wrong&next=%2Fnodes",
    b"83\nlab\nfull=true\n$COOKIE\n\n\n{\"name\":\"printer\",\"ttl_seconds\":600,\"roles\":[\"exporter\"],\"labels\":{\"room\":\"3\"}}",
    b"95\n0190f3c2-9999-7000-8000-00000000abcd\n\n\nBearer nave_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\n{}",
    b"40\ngxpfYdXO7rn6O0WtD0fUdCgjba1DofCTe8wv8ihCNqI\ncode=x&state=y\n__Host-nave-ticket=AAAA\nNave AAAA.BBBB\n\nemail=alan%40example.org&name=Alan&message=please",
];

/// After so many requests a new administrator signs in: inputs end sessions and accounts.
const RENEW: u32 = 500;

struct Bench {
    runtime: Runtime,
    hub: TestHub,
    browser: Mutex<Browser>,
}

struct Browser {
    cookie: String,
    form: String,
    asked: u32,
}

/// Sends an input as a request and looks at the answer's status.
pub(crate) fn request(bytes: &[u8]) {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    let bench = BENCH.get_or_init(|| Bench::new().expect("a hub starts on loopback"));
    let input = bench.request(bytes);
    let answer = bench.runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(30), bench.ask(&input)).await.expect("the hub answers")
    });
    let answer = answer.expect("the hub reads a request that is one");
    let status = answer.split(' ').nth(1).unwrap_or_default();
    assert!(!status.is_empty() && !status.starts_with('5'), "the hub failed: {answer:?}");
}

impl Bench {
    fn new() -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let hub = runtime.block_on(TestHub::start())?;
        let browser = runtime.block_on(Browser::new(&hub, 0))?;
        Ok(Self { runtime, hub, browser: Mutex::new(browser) })
    }

    /// The request that an input stands for. What cannot stand in a request's head is escaped there: most inputs would
    /// come no further than the reader of heads otherwise.
    fn request(&self, bytes: &[u8]) -> Vec<u8> {
        let (cookie, form) = self.browser();
        let mut parts = bytes.splitn(7, |byte| *byte == b'\n');
        let mut part = || parts.next().unwrap_or_default();
        let choice = part()
            .iter()
            .fold(0, |number: usize, byte| number.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        let rows = &self.hub.running().routes;
        let row = &rows[choice % rows.len()];
        let (parameter, query) = (escaped(part()), escaped(part()));
        let path: Vec<&str> =
            row.path.split('/').map(|part| if part.starts_with('{') { &parameter } else { part }).collect();
        let cookies = header(part()).replace("$COOKIE", &cookie);
        let (credentials, last) = (header(part()), header(part()));
        let body = String::from_utf8_lossy(part()).replace("$FORM", &form);
        let kind = if row.path.starts_with("/nave/") { "json" } else { "x-www-form-urlencoded" };
        let mut head = format!("{} {}?{query} HTTP/1.1\r\nhost: hub\r\n", row.method, path.join("/"));
        for (name, value) in [
            ("cookie", cookies.as_str()),
            ("authorization", &credentials),
            ("last-event-id", &last),
            ("sec-fetch-site", "same-origin"),
            ("content-type", &format!("application/{kind}")),
            ("content-length", &body.len().to_string()),
        ] {
            if !value.is_empty() {
                head += &format!("{name}: {value}\r\n");
            }
        }
        format!("{head}\r\n{body}").into_bytes()
    }

    fn browser(&self) -> (String, String) {
        let mut browser = self.browser.lock().unwrap_or_else(PoisonError::into_inner);
        browser.asked += 1;
        if browser.asked.is_multiple_of(RENEW) {
            let asked = browser.asked;
            *browser = self.runtime.block_on(Browser::new(&self.hub, asked)).expect("somebody signs in");
        }
        (browser.cookie.clone(), browser.form.clone())
    }

    async fn ask(&self, request: &[u8]) -> anyhow::Result<String> {
        let tcp = TcpStream::connect(self.hub.address()).await?;
        let name = ServerName::try_from("hub")?;
        let mut io = TlsConnector::from(certificate::by_key()).connect(name, tcp).await?;
        io.write_all(request).await?;
        // The head is enough: a live page never ends.
        let mut head = vec![0; 4096];
        let mut filled = 0;
        while filled < head.len() && !head[..filled].windows(4).any(|window| window == b"\r\n\r\n") {
            match io.read(&mut head[filled..]).await? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(String::from_utf8_lossy(&head[..filled]).into_owned())
    }
}

impl Browser {
    async fn new(hub: &TestHub, asked: u32) -> anyhow::Result<Self> {
        let person = TestPerson::invite(hub, &format!("admin-{asked}"), &[(Role::Admin, "*")]).await?;
        let form = person.secret.derive("form").to_string();
        Ok(Self { cookie: person.cookie(), form, asked })
    }
}

/// As a part of an address: what may not stand there is percent-encoded.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| match byte {
        b'#' | b'<' | b'>' | b'"' | b'`' | b'{' | b'}' | b'|' | b'\\' | b'^' => {
            text + &format!("%{byte:02X}")
        }
        b'!'..=b'~' => text + char::from(*byte).encode_utf8(&mut [0; 4]),
        _ => text + &format!("%{byte:02X}"),
    })
}

/// As a header's value.
fn header(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect()
}
