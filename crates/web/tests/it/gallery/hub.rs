//! The audit log, settings, status, the API, devices, failures.

use nave_core::api::{Check, DeviceView, JobView, Role, Verdict};
use nave_core::hub::error::Error;
use nave_core::hub::people::idp::Program;
use nave_web::ui::{Filled, Tone};
use nave_web::views::audit::{Audit, Row};
use nave_web::views::device::{AskCode, Decide};
use nave_web::views::failure::{DoorFailure, Failure, title};
use nave_web::views::happening::Happening;
use nave_web::views::listing::Listing;
use nave_web::views::program::Decide as SignInProgram;
use nave_web::views::reference::{Reference, nouns};
use nave_web::views::settings::{Identity, Mail, QueuedMail, Setting, Settings};
use nave_web::views::status::Status;
use serde_json::json;
use time::Duration;

use super::things::{LONG, events, long_events, person};
use super::{HOSTILE, NOW, Sample, outside, refused, shell};

const URL: &str = "https://hub.example.org:3101";

fn audit(rows: Vec<nave_core::api::Event>, asked: &[(&'static str, &str)], newest: bool) -> Audit {
    Audit {
        shell: shell("Audit", "/audit"),
        listing: Listing::new("/audit", asked),
        filter: Filled::with(asked.iter().copied()),
        older: (rows.len() >= 100).then(|| "/audit?before=1".to_owned()),
        rows: rows.into_iter().map(|event| Row { said: Happening::from(&event), event }).collect(),
        newest: (!newest).then(|| "/audit".to_owned()),
        kept: "400 days".to_owned(),
    }
}

fn settings(full: bool) -> Settings {
    let identity = |name: &str, days, tone| Identity {
        name: name.to_owned(),
        certificate: format!("/var/lib/nave/cert/{name}-cert.pem"),
        fingerprint: "SHA256:4f:8a:2c:91:7b:3e:d0:55:a6:18:f2:c7:09:6d:be:41".repeat(2),
        not_after: NOW + Duration::days(days),
        tone,
    };
    let waiting = QueuedMail {
        to: "grace@example.org".into(),
        subject: "You are invited to hub.example.org".into(),
        since: NOW - Duration::hours(2),
        tries: 5,
        last_error: "connection refused by mail.example.org:587".into(),
    };
    let setting = |name, value: &str, key| Setting { name, value: value.to_owned(), key };
    Settings {
        shell: shell("Settings", "/settings"),
        identities: if full {
            vec![identity("self", 800, Tone::Good), identity("files", 6, Tone::Warn)]
        } else {
            vec![identity("self", 800, Tone::Good)]
        },
        listeners: vec!["0.0.0.0:3101".into(), "[::]:3101".into()],
        url: URL.to_owned(),
        id: "k7wmqh3x9rtv4bqzk7wmqh3x9rtv4bqz".into(),
        key_prefix: "4f8a2c917b3ed055".into(),
        key: full.then(|| "4f8a2c917b3ed055+k7wmqh3x9rtv4bqzk7wmqh3x9rtv4bqz".to_owned()),
        rotation: Filled::blank(),
        mail: Mail {
            server: full.then(|| "smtps://hub@mail.example.org".to_owned()),
            from: "Nave <hub@example.org>".into(),
            queue: if full { vec![waiting] } else { vec![] },
        },
        groups: vec![
            (
                "People",
                vec![
                    setting("Second factor", "required for everybody", "people.second_factor"),
                    setting("A session ends without use after", "12 hours", "people.session_idle"),
                    setting("A session ends in any case after", "30 days", "people.session_longest"),
                ],
            ),
            ("What is kept", vec![setting("Audit log", "400 days", "events.keep")]),
        ],
        may_see_key: true,
    }
}

fn status(good: bool) -> Status {
    let check =
        |name: &str, verdict, message: &str| Check { name: name.into(), verdict, message: message.into() };
    let worse = |verdict| if good { Verdict::Pass } else { verdict };
    Status {
        shell: shell("Status", "/status"),
        checks: vec![
            check("disk", worse(Verdict::Fail), "87 MiB free: free some space now, writes are about to fail"),
            check("backup", worse(Verdict::Warn), "there is none yet: run `nave backup FILE`"),
            check("data folder", Verdict::Pass, "/var/lib/nave (mode 700)"),
            check("identity self", Verdict::Pass, "/var/lib/nave/cert/hub-cert.pem ends on 2028-10-12"),
            check("database", Verdict::Pass, "sqlite:///var/lib/nave/hub.sqlite, 2 schema steps"),
            check("listeners", Verdict::Pass, "0.0.0.0:3101"),
            check("nodes", Verdict::Pass, "3 joined, all connected"),
        ],
        jobs: vec![
            JobView {
                name: "events.forget_old".into(),
                every_seconds: 21_600,
                last_run: Some(NOW - Duration::hours(2)),
                last_outcome: "0 events forgotten".into(),
                failures: 0,
            },
            JobView {
                name: "mail.send".into(),
                every_seconds: 30,
                last_run: None,
                last_outcome: "mail.example.org refused the connection".into(),
                failures: if good { 0 } else { 4 },
            },
        ],
        version: "0.1.0".into(),
    }
}

fn reference() -> Reference {
    let description = json!({ "paths": {
        "/nave/v1/nodes": { "get": { "summary": "All nodes", "tags": ["nodes"] } },
        "/nave/v1/nodes/{node}": {
            "get": { "summary": "One node with its rights", "tags": ["nodes"] },
            "patch": { "summary": "Changes a node", "description": "Fields that are absent stay.", "tags": ["nodes"] },
        },
        "/nave/v1/nodes/{node}/grants": {
            "post": { "summary": "Gives a node a right", "tags": ["grants"] },
            "delete": { "summary": "Takes a right from a node; streams that stood on it end", "tags": ["grants"] },
        },
        "/nave/v1/access-requests": { "post": { "summary": "Asks to be let in", "security": [], "tags": ["people"] } },
    }});
    Reference { shell: shell("API", "/reference"), nouns: nouns(&description), url: URL.to_owned() }
}

pub fn samples() -> Vec<Sample> {
    let failure = |status: u16, words: &str| Failure {
        shell: shell(title(status), ""),
        status,
        title: title(status),
        words: words.to_owned(),
        request: "0198f0e3-9999-7000-8000-00000000abcd".into(),
    };
    let lost = DoorFailure {
        shell: outside("Not found"),
        status: 404,
        title: title(404),
        words: "There is no link that is still good; ask an administrator of this hub for a new one.".into(),
        request: "0198f0e3-9999-7000-8000-00000000abcd".into(),
    };
    let decide = Decide {
        shell: outside("Sign in a device"),
        device: DeviceView {
            code: "WDJB-MJHT".into(),
            name: LONG.into(),
            public_key: "nk1q7w2e9r4t6y8u1i3o5p7a9s2d4f6g8h1j3k5l7z9x".into(),
            source: "192.0.2.9".into(),
        },
        person: "Ada".into(),
    };
    let program = |same_place: bool| SignInProgram {
        shell: outside("Sign in to not-my-board"),
        program: Program {
            id: "not-my-board",
            name: "not-my-board",
            does: "reserve places, and put places of its own into the farm",
            callback: "/oidc-callback",
        },
        source: if same_place { "192.0.2.9" } else { "2001:db8:1234:5678:9abc:def0:1234:5678" }.into(),
        same_place,
        person: person(if same_place { "Ada" } else { HOSTILE }, Role::Operator),
        request: "client_id=not-my-board".into(),
    };
    let wrong_code = refused(
        b"code=AAAA-BBBB",
        &Error::invalid(
            "code",
            "no device waits with that code: look at it again, or start `nave login` anew",
        ),
    );
    vec![
        Sample::of("audit-empty", &audit(vec![], &[], true)),
        Sample::of("audit-10", &audit(events(), &[], true)),
        Sample::of("audit-none-found", &audit(vec![], &[("actor", "nobody")], true)),
        Sample::of("audit-long", &audit(long_events(), &[("action", "node")], false)),
        Sample::of("settings", &settings(true)),
        Sample::of("settings-new", &settings(false)),
        Sample::of("status", &status(false)),
        Sample::of("status-good", &status(true)),
        Sample::of("reference", &reference()),
        Sample::of("device-ask", &AskCode { shell: outside("Sign in a device"), form: wrong_code }),
        Sample::of("device-decide", &decide),
        Sample::of("program-decide", &program(true)),
        Sample::of("program-decide-elsewhere", &program(false)),
        Sample::of(
            "failure-403",
            &failure(
                403,
                "Grace may not do that (node.revoke): it takes the role admin or operator; ask an administrator of this hub.",
            ),
        ),
        Sample::of("failure-404", &failure(404, "There is no node named \"lob\".")),
        Sample::of("failure-500", &failure(500, "The hub failed; its log has the details.")),
        Sample::of("failure-door", &lost),
    ]
}
