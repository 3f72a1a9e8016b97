//! Fuzz targets: what no input may break. Each takes any bytes; a panic is a finding. The kept corpus runs as a test.

mod requests;

use std::io::Cursor;

use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use nave_agents::hub::dialect::socket_io;
use nave_boards::node::export::ExportDescription;
use nave_boards::node::exporter::read_head;
use nave_boards::node::import::ImportDescription;
use nave_boards::node::usb::wire::{ImportReply, ImportRequest};
use nave_core::clock::Clock;
use nave_core::hub::config::HubConfig;
use nave_core::hub::edge;
use nave_core::hub::identity::TlsIdentity;
use nave_core::hub::mail::smtp;
use nave_core::hub::mail::wire::{self, Wire};
use nave_core::hub::people::oidc::{Answer, Callback, Claims, NameTemplate};
use nave_core::node::AllowRule;
use nave_link::access_key::AccessKey;
use nave_link::address::{HubUrl, NodeTarget};
use nave_link::handshake::{FromHub, FromNode};
use nave_link::key::SecretKey;
use nave_link::protocol::{ToHub, ToNode};
use nave_link::rpc::Message;
use nave_link::token::JoinToken;

/// One parser at an edge.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name of its corpus folder.
    pub name: &'static str,
    /// What is tried.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: &'static [&'static [u8]],
}

/// Every parser at an edge.
pub const TARGETS: &[Target] = &[
    Target { name: "access_key", run: access_key, seeds: &[b"3fa91c0d5e7b2a46+9c1e07d2b8f35a64", b"3fa91c0d5e7b2a46+k1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] },
    Target { name: "join_token", run: join_token, seeds: &[b"nave1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA"] },
    Target { name: "secret_key", run: secret_key, seeds: &[b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n"] },
    Target { name: "addresses", run: addresses, seeds: &[b"https://server:3101", b"lab:[::1]:22", b"db.local:*"] },
    Target { name: "link_message", run: link_message, seeds: &[
        br#"{"jsonrpc":"2.0","id":1,"method":"stream.open","params":{"node":"lab","target":"127.0.0.1:80"}}"#,
        br#"{"jsonrpc":"2.0","method":"stream.cut","params":{"stream":"x","reason":"y"}}"#,
        br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no","data":"why"}}"#,
    ] },
    Target { name: "handshake", run: handshake, seeds: &[
        br#"{"say":"hello","versions":[1],"node_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        br#"{"say":"refused","code":"token","message":"no"}"#,
        br#"{"say":"pending","message":"wait"}"#,
    ] },
    Target { name: "config", run: config, seeds: &[b"listen = [\"[::]:3101\"]\n[nodes]\nheartbeat = \"10s\"\n[[listener]]\naddress = \"[::1]:1\"\nproxy_from = [\"192.0.2.0/24\"]\n"] },
    Target { name: "proxy_header", run: proxy_header, seeds: &[b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x01\xc7\x38\x01\xbb"] },
    Target { name: "mail_server", run: mail_server, seeds: &[
        b"220 smtp\r\n250-smtp\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n221 bye\r\n",
        b"220 smtp\r\n250-smtp\r\n250 STARTTLS\r\n220 go\r\n",
        b"220 smtp\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n535-5.7.8 no\r\n535 5.7.8 no\r\n",
    ] },
    Target { name: "oidc_callback", run: oidc_callback, seeds: &[
        b"code=c0de&state=abc&iss=https%3A%2F%2Fid.example.org&session_state=x",
        b"error=access_denied&error_description=no+thanks&state=abc",
    ] },
    Target { name: "sign_in_request", run: sign_in_request, seeds: &[
        b"scope=openid+profile+email+offline_access&response_type=code&client_id=not-my-board&redirect_uri=https%3A%2F%2Fhub%3A3101%2Foidc-callback&state=s&nonce=n&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
        b"response_type=code&response_type=token&code_challenge=AAAA&code_challenge_method=plain&prompt=none",
    ] },
    Target { name: "not_my_board_config", run: not_my_board_config, seeds: &[
        b"log_level = \"debug\"\nuniqueness_tolerance = 0.05\n[auth]\nissuer = \"https://i.example\"\nclient_id = \"c\"\n[[auth.permissions]]\nclaims = { groups = [\"a\", 5], deep = { a = 1.5 } }\nroles = [\"importer\"]\n[auth.issuers.\"https://i.example\"]\nuser_name_formats = [\"$name ${sub} $$\"]\n",
    ] },
    Target { name: "oidc_claims", run: oidc_claims, seeds: &[
        br#"{"sub":"1","email":"ada@example.org","email_verified":true,"name":"Ada","groups":["hub-admins"],"realm":{"roles":"staff"}}"#,
        b"{given_name} {family_name}",
    ] },
    Target { name: "certificate", run: certificate, seeds: &[b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"] },
    Target { name: "usbip", run: usbip, seeds: &[
        b"\x01\x11\x80\x03\0\0\0\x001-1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        include_bytes!("../seeds/usbip-reply"),
    ] },
    Target { name: "board_message", run: board_message, seeds: &[
        br#"{"jsonrpc":"2.0","id":1,"method":"register_place","params":[{"name":"bench","port":2192,"parts":[{"compatible":["demo"],"usb":{"jtag":{"usbid":"1-4.2"}},"tcp":{"http":{"host":"localhost","port":80}}}]}]}"#,
        br#"{"jsonrpc":"2.0","id":true,"method":"reserve","params":{"candidate_ids":[1,2]}}"#,
        br#"{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id_":1}}"#,
        br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no","data":{"traceback":"Traceback
  File"}}}"#,
    ] },
    Target { name: "board_request", run: board_request, seeds: &[
        b"CONNECT localhost:8080 HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: python-h11/0.16.0\r\n\r\nmore",
        b"GET / HTTP/1.0\n\n",
        b"\x16\x03\x01\x02\0\x01",
    ] },
    Target { name: "board_description", run: board_description, seeds: &[
        b"port = 2192\n[[parts]]\ncompatible = [\"demo\", \"v2\"]\nusb.jtag = { usbid = \"1-4.2\" }\ntcp.http = { host = \"127.0.0.1\", port = 8080 }\n",
        b"auto_return_time = \"1w2d3h4m5s\"\n[parts.web]\ncompatible = [\"demo\"]\nusb.jtag = { port_num = 2 }\ntcp.http = { local_port = 8081 }\n",
    ] },
    Target { name: "socket_io_packet", run: socket_io_packet, seeds: &[
        br#"40/naisys,{"hubAccessKey":"ab+cd","hostName":"BOX-1","hostType":"naisys"}"#,
        br#"42/naisys,0["mail_send",{"fromUserId":1,"toUserIds":[2],"subject":"s","body":"\u00e9","kind":"mail"}]"#,
        br#"43/naisys,7[{"success":true}]"#,
        b"41/naisys,",
        br#"42["users_changed"]"#,
        br#"451-/naisys,["file",{"_placeholder":true,"num":0}]"#,
        b"2probe",
        b"bAAEC",
    ] },
    Target { name: "request", run: requests::request, seeds: requests::SEEDS },
];

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn sign_in_request(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let again = format!("{text}&code_challenge_method=S256");
    if nave_core::hub::people::idp::fault(text).is_none() {
        assert!(nave_core::hub::people::idp::fault(&again).is_some(), "what stands twice is believed");
    }
}

fn not_my_board_config(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(imported) = nave_boards::hub::config::import(text) {
        let auth = imported.auth.filter(|auth| !auth.permissions.is_empty());
        let named = auth.is_none_or(|auth| auth.issuer.is_some() && auth.client_id.is_some());
        assert!(named, "permissions without a provider");
        let within = |tolerance: f64| (0.0..=1.0).contains(&tolerance);
        assert!(imported.uniqueness_tolerance.is_none_or(within), "a tolerance that the hub would not take");
    }
}

fn access_key(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match text.parse::<AccessKey>() {
        Ok(key) => assert_eq!(key.reveal().as_str(), text.trim(), "a key is its text"),
        Err(error) => {
            assert!(text.len() < 40 || !error.to_string().contains(text), "an error repeats the key");
        }
    }
}

fn join_token(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(token) = text.parse::<JoinToken>() {
        assert_eq!(token.reveal().as_str(), text.trim(), "a token is its text");
    }
}

fn secret_key(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(key) = SecretKey::from_pem(text) {
        assert!(SecretKey::from_pem(&key.to_pem()).is_ok(), "a key survives its file");
    }
}

fn addresses(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(url) = text.parse::<HubUrl>() {
        assert_eq!(url.to_string().parse(), Ok(url), "an address survives its text");
    }
    if let Ok(target) = text.parse::<NodeTarget>() {
        assert_eq!(target.to_string().parse(), Ok(target), "a target survives its text");
    }
    if let Ok(rule) = text.parse::<AllowRule>() {
        assert_eq!(rule.to_string().parse(), Ok(rule), "a rule survives its text");
    }
}

fn link_message(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(message) = Message::parse(text) else { return };
    assert!(Message::parse(&message.to_text()).is_ok(), "a message survives its text");
    if let Message::Request { method, params, .. } | Message::Notice { method, params } = &message {
        // Either understood or an error; nothing else may come of it.
        let _ = (ToHub::parse(method, params), ToNode::parse(method, params));
    }
}

fn handshake(bytes: &[u8]) {
    let _ = serde_json::from_slice::<FromNode>(bytes);
    let _ = serde_json::from_slice::<FromHub>(bytes);
}

fn config(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(config) = HubConfig::parse(text) {
        let _ = (config.listeners(&[]), config.node_settings(), config.connection_limits());
    }
}

fn proxy_header(bytes: &[u8]) {
    let _ = edge::classify(bytes);
    let _ = edge::proxy::parse(bytes);
}

/// All that a mail server says, before TLS and after.
fn mail_server(bytes: &[u8]) {
    let said = || tokio::io::join(Cursor::new(bytes.to_vec()), tokio::io::sink());
    let hello = ClientId::Domain("hub.example.org".to_owned());
    let credentials = Credentials::new("nave".to_owned(), "password".to_owned());
    let message = lettre::Message::builder()
        .from(Mailbox::new(None, Address::new("nave", "example.org").expect("it is an address")))
        .to(Mailbox::new(None, Address::new("ada", "example.org").expect("it is an address")))
        .body(String::new())
        .expect("it has a sender and a recipient");
    let runtime =
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs nothing here");
    runtime.block_on(async {
        // Either understood or an error; nothing else may come of it.
        let _ = wire::agree_on_tls(said(), &hello).await;
        let _ = smtp::hand_over(Wire::new(said()), &hello, Some(credentials), &message).await;
    });
}

/// Either end's message, whichever it is by its length.
fn usbip(bytes: &[u8]) {
    if let Ok(bytes) = bytes.try_into()
        && let Ok(request) = ImportRequest::decode(bytes)
    {
        assert_eq!(&request.encode(), bytes, "a request is its bytes");
    }
    if let Ok(bytes) = bytes.try_into()
        && let Ok(reply) = ImportReply::decode(bytes)
    {
        assert_eq!(&reply.encode(), bytes, "a reply is its bytes");
    }
}

fn socket_io_packet(bytes: &[u8]) {
    if socket_io::is_packet(bytes) {
        assert!(b"13456".contains(&bytes[0]) || bytes == b"2probe", "a client sends such packets only");
    }
}

fn board_message(bytes: &[u8]) {
    if nave_boards::hub::is_registration(bytes) {
        assert!(std::str::from_utf8(bytes).is_ok(), "what is understood is JSON, and so a text");
    }
}

fn board_request(bytes: &[u8]) {
    let clock = Clock::system();
    match read_head(bytes, &clock) {
        Ok(Some(length)) => {
            assert!(length <= bytes.len(), "a head is a part of what came");
            assert_eq!(read_head(&bytes[..length], &clock), Ok(Some(length)), "what follows changes nothing");
        }
        Ok(None) => {}
        Err(refusal) => {
            let lines = refusal.split(|byte| *byte == b'\n').take_while(|line| *line != b"\r");
            let headers: Vec<&[u8]> = lines.collect();
            assert!(headers.iter().all(|line| line.ends_with(b"\r")), "no header has a line end in it");
            assert!(refusal.starts_with(b"HTTP/1.1 4"), "a refusal is an answer");
        }
    }
}

fn board_description(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(place) = ExportDescription::parse("bench", "bench.toml", text) {
        assert!(place.port > 0, "an exporter listens somewhere");
        assert_eq!(place.usb().len(), place.parts.iter().map(|part| part.usb.len()).sum::<usize>());
    }
    if let Ok(wanted) = ImportDescription::parse(text) {
        assert!(wanted.auto_return.is_none_or(|time| !time.is_zero()), "no time is none, and not zero");
    }
}

fn certificate(bytes: &[u8]) {
    let _ = TlsIdentity::inspect(bytes);
}

fn oidc_callback(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(callback) = Callback::parse(text)
        && let Answer::Code(code) = &callback.answer
    {
        use secrecy::ExposeSecret as _;
        assert!(!code.expose_secret().is_empty() && !callback.state.expose_secret().is_empty());
    }
}

/// The rules by which the claims are read.
const PROVIDERS: &str = r#"
[people.oidc.rules]
issuer = "https://id.example.org"
client_id = "nave"
name = "{given_name} {family_name} ({realm.unit})"
roles = [{ claim = "groups", value = "hub-admins", role = "admin" }, { claim = "realm.roles", value = "staff", role = "viewer" }]
[people.oidc.trusting]
issuer = "https://id.example.org"
client_id = "nave"
email_claim = "upn"
require_verified_email = false
default_role = "viewer"
"#;

fn oidc_claims(bytes: &[u8]) {
    if let Some(Ok(template)) = text(bytes).map(str::parse::<NameTemplate>) {
        assert_eq!(template.to_string().parse(), Ok(template), "a template survives its text");
    }
    let Ok(claims) = Claims::parse(bytes) else { return };
    let config = HubConfig::parse(PROVIDERS).expect("a constant configuration");
    for provider in config.people.oidc.values() {
        match provider.who(&claims) {
            Ok(who) => {
                assert!(
                    !who.name.trim().is_empty() && who.name.chars().count() <= 100,
                    "everybody has a name"
                );
                assert!(who.email.contains('@') && !who.subject.is_empty(), "nobody is without an address");
            }
            Err(error) => drop(error.chain()),
        }
    }
}
