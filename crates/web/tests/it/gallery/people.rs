//! People and the account.

use nave_core::api::{ApiToken, ApiTokenSecret, PersonLink, ProgramSignIn, Role};
use nave_core::hub::error::Error;
use nave_web::ui::Filled;
use nave_web::views::account::{Account, NewCodes, NewToken};
use nave_web::views::listing::{Listing, Pager};
use nave_web::views::people::{InvitePerson, Link, People, PersonDetail, Requests};
use time::Duration;

use super::things::{LONG, device, grant, many_people, people, person, request, session};
use super::{HOSTILE, NOW, Sample, refused, shell};

const URL: &str = "https://hub.example.org:3101";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Safari/604.1";

fn list(people: Vec<nave_core::api::Person>, asked: &[(&'static str, &str)]) -> People {
    let listing = Listing::new("/people", asked);
    let total = people.len();
    let (people, pager) = Pager::cut(&listing, people);
    People { shell: shell("People", "/people"), listing, people, pager, total, asking: 1 }
}

fn detail(who: nave_core::api::Person) -> PersonDetail {
    PersonDetail {
        shell: shell(&who.name, "/people"),
        form: Filled::with([("name", who.name.as_str())]),
        person: who,
        own: false,
        grants: vec![grant("lab:8080")],
        sessions: vec![session(false, FIREFOX)],
        devices: vec![device("grace-laptop", true)],
        programs: vec![program("192.0.2.9")],
        grant: Filled::blank(),
        nodes: vec!["lab".into(), "ward-server".into()],
    }
}

fn token(name: &str) -> ApiToken {
    ApiToken {
        id: format!("0198f0e3-8888-7000-8000-{:012x}", name.len()),
        name: name.to_owned(),
        role: Role::Viewer,
        scope: "node:lab".to_owned(),
        created_at: NOW - Duration::days(10),
        expires_at: NOW + Duration::days(80),
        last_used_at: Some(NOW - Duration::hours(2)),
    }
}

fn program(address: &str) -> ProgramSignIn {
    ProgramSignIn {
        id: format!("0198f0e3-7777-7000-8000-{:012x}", address.len()),
        program: "not-my-board".to_owned(),
        address: address.to_owned(),
        created_at: NOW - Duration::days(3),
        last_used_at: NOW - Duration::minutes(40),
    }
}

fn account(full: bool) -> Account {
    Account {
        shell: shell("Your account", "/account"),
        person: person("Ada", Role::Admin),
        profile: Filled::with([("name", "Ada")]),
        password: if full {
            refused(b"old=x&password=y", &Error::invalid("old", "is not your password"))
        } else {
            Filled::blank()
        },
        codes_left: if full { 8 } else { 0 },
        sessions: if full {
            vec![session(true, FIREFOX), session(false, SAFARI)]
        } else {
            vec![session(true, FIREFOX)]
        },
        devices: if full { vec![device("laptop", true), device(LONG, false)] } else { vec![] },
        programs: if full {
            vec![program("192.0.2.9"), program("2001:db8:1234:5678:9abc:def0:1234:5678")]
        } else {
            vec![]
        },
        tokens: if full { vec![token("nightly backup"), token(HOSTILE)] } else { vec![] },
        token: Filled::blank(),
        nodes: vec!["lab".into()],
        url: URL.to_owned(),
    }
}

pub fn samples() -> Vec<Sample> {
    let link = |link: Option<&str>| PersonLink {
        person: person("Grace", Role::Operator),
        link: link.map(ToOwned::to_owned),
        mailed: link.is_none(),
        expires_at: NOW + Duration::days(7),
    };
    let made = |made, reset| Link { shell: shell("Invited", "/people"), made, reset };
    let requests = |open, decided| Requests {
        shell: shell("Access requests", "/people"),
        open,
        decided,
        form: Filled::blank(),
    };
    let long_message = format!("I work with Grace on {LONG}.\n{HOSTILE} {}", "words ".repeat(80));
    let secret = ApiTokenSecret {
        token: token("nightly backup"),
        secret: "nave_k7wmqh3x9rtv4bqzk7wmqh3x9rtv4bqzk7wmqh3x9rt".into(),
    };
    let codes = (0..10).map(|at| format!("k7wm-{at}h3x-9rtv-4bqz")).collect();
    vec![
        Sample::of("people-1", &list(vec![person("Ada", Role::Admin)], &[])),
        Sample::of("people-3", &list(people(), &[])),
        Sample::of("people-3000", &list(many_people(3000), &[("page", "2")])),
        Sample::of("people-requests-empty", &requests(vec![], vec![])),
        Sample::of(
            "people-requests",
            &requests(
                vec![
                    request("Alan", "I would like to look at the boards in the lab.", "open"),
                    request(HOSTILE, &long_message, "open"),
                ],
                vec![request("Mary", "", "accepted"), request("Joan", "", "declined")],
            ),
        ),
        Sample::of("person-detail", &detail(people().remove(1))),
        Sample::of("person-long", &detail(many_people(1).remove(0))),
        Sample::of(
            "person-invite",
            &InvitePerson {
                shell: shell("Invite somebody", "/people"),
                form: Filled::with([("roles", "viewer")]),
                nodes: vec!["lab".into()],
            },
        ),
        Sample::of(
            "person-link",
            &made(
                link(Some(
                    "https://hub.example.org:3101/invitation/k7wmqh3x9rtv4bqzk7wmqh3x9rtv4bqzk7wmqh3x9rt",
                )),
                false,
            ),
        ),
        Sample::of("person-link-mailed", &made(link(None), true)),
        Sample::of("account", &account(true)),
        Sample::of("account-new", &account(false)),
        Sample::of(
            "account-token",
            &NewToken { shell: shell("New token", "/account"), made: secret, url: URL.into() },
        ),
        Sample::of("account-codes", &NewCodes { shell: shell("Recovery codes", "/account"), codes }),
    ]
}
