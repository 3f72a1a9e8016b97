//! Every letter as it is read, and as it travels.

use std::fmt::Write as _;

use lettre::message::Mailbox;
use nave_link::address::HubUrl;
use time::OffsetDateTime;
use time::macros::datetime;

use super::letter::Letter;
use super::render::{self, Content};
use super::{MailId, send};

const UNTIL: OffsetDateTime = datetime!(2030-01-03 04:05:06 UTC);
const AT: OffsetDateTime = datetime!(2030-01-02 03:04:05 +01:00);
const LINK: &str = "https://hub.example.org/set-password?token=one-time&for=ada";
/// A name that would be a header, a tag and a turn of the reading direction, if it were let.
const HOSTILE: &str = "Ada\r\nBcc: grace@example.org\r\n\r\n<script>alert(1)</script>\u{202e}\u{2028}\"&'";

fn hub() -> HubUrl {
    "https://hub.example.org:3101".parse().unwrap()
}

fn letters() -> Vec<Letter<'static>> {
    vec![
        Letter::Invitation { by: "Grace", link: LINK, until: UNTIL },
        Letter::PasswordReset { link: LINK, until: UNTIL },
        Letter::AccessRequested {
            name: "Ada",
            address: "ada@example.org",
            words: "I run the boards in the lab.",
            link: "https://hub.example.org/people/requests",
        },
        Letter::AccessGranted { link: LINK, until: UNTIL },
        Letter::AccessDeclined { words: Some("Ask your own administrator first.") },
        Letter::SecondFactorReset { by: "Grace" },
        Letter::PasswordChanged { at: AT, source: Some([192, 0, 2, 7].into()) },
        Letter::NewDevice { device: "laptop", at: AT, source: Some([192, 0, 2, 7].into()) },
        Letter::Test { by: "operator (uid 0)" },
    ]
}

fn hostile() -> Vec<Letter<'static>> {
    vec![
        Letter::Invitation { by: HOSTILE, link: LINK, until: UNTIL },
        Letter::AccessRequested { name: HOSTILE, address: HOSTILE, words: HOSTILE, link: LINK },
        Letter::AccessDeclined { words: Some(HOSTILE) },
        Letter::SecondFactorReset { by: HOSTILE },
        Letter::NewDevice { device: HOSTILE, at: AT, source: None },
        Letter::Test { by: HOSTILE },
    ]
}

fn content(letter: &Letter<'_>) -> Content {
    render::render(letter, &hub()).unwrap()
}

#[test]
fn every_letter_in_text_and_html() {
    for letter in letters() {
        let Content { subject, text, html } = content(&letter);
        insta::assert_snapshot!(format!("{}_text", letter.kind()), format!("Subject: {subject}\n\n{text}"));
        insta::assert_snapshot!(format!("{}_html", letter.kind()), html);
    }
}

#[test]
fn what_people_typed_stays_words() {
    let mut texts = String::new();
    for letter in hostile() {
        let Content { subject, text, html } = content(&letter);
        assert!(!subject.contains(char::is_control), "{subject:?}");
        assert!(!html.contains("<script"), "{html}");
        assert!(html.matches('<').count() == html.matches('>').count(), "{html}");
        assert!(!text.contains(['\r', '\u{202e}', '\u{2028}']), "{text:?}");
        writeln!(texts, "Subject: {subject}\n\n{text}").unwrap();
    }
    insta::assert_snapshot!("hostile_text", texts);
    insta::assert_snapshot!("hostile_html", content(&hostile()[1]).html);
}

#[test]
fn what_people_typed_ends_somewhere() {
    let long = "name ".repeat(10_000);
    let Content { subject, text, .. } =
        content(&Letter::AccessRequested { name: &long, address: &long, words: &long, link: LINK });
    assert!(subject.chars().count() < 300 && text.chars().count() < 3000, "{subject}");
    assert!(text.contains('…'));
}

#[test]
fn a_letter_has_all_that_it_must_in_both_forms() {
    for letter in letters() {
        let Content { text, html, .. } = content(&letter);
        if letter.until().is_some() {
            assert!(text.contains(LINK), "{text}");
            assert!(html.contains(&LINK.replace('&', "&#38;")), "{html}");
            assert!(text.contains("3 January 2030, 04:05 UTC") && html.contains("3 January 2030, 04:05 UTC"));
        }
        for remote in ["<img", "src=", "url(", "<style", "<link"] {
            assert!(!html.contains(remote), "{remote} in {html}");
        }
    }
}

#[test]
fn no_header_can_be_slipped_into_a_message() {
    let from: Mailbox = "Nave <nave@example.org>".parse().unwrap();
    let id: MailId = "01890000-0000-7000-8000-000000000001".parse().unwrap();
    for letter in hostile() {
        let to = "ada@example.org".parse().unwrap();
        let message = render::message(id, &from, to, AT, content(&letter)).unwrap();
        let formatted = String::from_utf8(message.formatted()).unwrap();
        let (head, _) = formatted.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> = head
            .split("\r\n")
            .filter(|line| !line.starts_with([' ', '\t']))
            .filter_map(|line| Some(line.split_once(':')?.0))
            .collect();
        let known =
            ["Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted", "MIME-Version", "Content-Type"];
        assert_eq!(names, known, "{head}");
        assert_eq!(message.envelope().to().len(), 1);
        assert!(formatted.lines().all(|line| line.len() < 999 && line.is_ascii()), "{formatted}");
    }
    for address in
        ["ada@example.org\r\nRCPT TO:<grace@example.org>", "ada@example.org,grace@example.org", "<a@b>"]
    {
        assert!(address.parse::<lettre::Address>().is_err(), "{address:?}");
    }
}

#[test]
fn a_message_is_the_same_at_every_attempt() {
    let from: Mailbox = "Nave <nave@example.org>".parse().unwrap();
    let id: MailId = "01890000-0000-7000-8000-000000000001".parse().unwrap();
    let message = || {
        let to = "ada@example.org".parse().unwrap();
        let message = render::message(id, &from, to, AT, content(&Letter::Test { by: "Grace" })).unwrap();
        String::from_utf8(message.formatted()).unwrap()
    };
    assert_eq!(message(), message());
    insta::assert_snapshot!("message", message().replace('\r', ""));
}

#[test]
fn a_mail_is_given_up_when_its_link_ends() {
    let days = AT + std::time::Duration::from_hours(72);
    assert_eq!(send::give_up_at(AT, None), days);
    assert_eq!(send::give_up_at(AT, Some(UNTIL)), UNTIL);
    assert_eq!(send::give_up_at(AT, Some(AT + std::time::Duration::from_hours(100))), days);
}
