//! The pages before anybody is signed in.

use nave_core::hub::error::Error;
use nave_core::hub::people::links::LinkKind;
use nave_web::ui::{Filled, QrCode};
use nave_web::views::door::{Accept, Code, Codes, Enroll, Forgot, Provider, RequestAccess, Said, SignIn};

use super::{Sample, outside, refused};

const SEED: &str = "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP";

fn sign_in(form: Filled, providers: &[&str]) -> SignIn {
    let provider = |name: &&str| Provider { name: (*name).to_owned(), path: "/oidc/begin/x".to_owned() };
    SignIn {
        shell: outside("Sign in"),
        form,
        next: "/".to_owned(),
        providers: providers.iter().map(provider).collect(),
        access_requests: true,
    }
}

fn code(form: Filled, recovery: bool) -> Code {
    Code { shell: outside("Second factor"), form, next: "/".into(), recovery }
}

fn accept(kind: LinkKind, form: Filled) -> Accept {
    Accept {
        shell: outside("Set up"),
        form,
        kind,
        action: "/setup/x".to_owned(),
        email: "grace@example.org".to_owned(),
        inviter: "Ada".to_owned(),
    }
}

fn enroll() -> Enroll {
    let address = "otpauth://totp/Nave:ada@example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Nave";
    Enroll {
        shell: outside("Second factor"),
        form: Filled::blank(),
        next: "/".into(),
        qr: QrCode::of(address).expect("an address is short enough"),
        seed: SEED.to_owned(),
        email: "ada@example.org".to_owned(),
    }
}

fn signed_out() -> Said {
    Said {
        shell: outside("Signed out"),
        icon: "leave",
        title: "You are signed out".to_owned(),
        words: "This browser's session has ended.".to_owned(),
        next: Some(("/sign-in".to_owned(), "Sign in again")),
        primary: true,
    }
}

pub fn samples() -> Vec<Sample> {
    let wrong = Error::Unauthenticated(
        "the address or the password is wrong, or the account is not in use".to_owned(),
    );
    let used = Error::invalid("code", "is not right, or was used already: wait for the next one");
    let short =
        Error::invalid("password", "must have at least 10 characters; several words are easy to remember");
    let providers = ["Example University", "Hospital of St. Example and its institutes"];
    let codes = (0..10).map(|at| format!("k7wm-{at}h3x-9rtv-4bqz")).collect();
    let forgot = |mails| Forgot { shell: outside("Forgotten password"), form: Filled::blank(), mails };
    let request = RequestAccess { shell: outside("Request access"), form: Filled::blank() };
    let set_up = refused(b"email=ada@example.org&name=Ada&password=short", &short);
    vec![
        Sample::of("door-sign-in", &sign_in(Filled::blank(), &[])),
        Sample::of(
            "door-sign-in-providers",
            &sign_in(refused(b"email=ada@example.org&password=x", &wrong), &providers),
        ),
        Sample::of("door-code", &code(Filled::blank(), false)),
        Sample::of("door-code-wrong", &code(refused(b"code=123456", &used), false)),
        Sample::of("door-code-recovery", &code(Filled::blank(), true)),
        Sample::of("door-setup", &accept(LinkKind::Setup, Filled::blank())),
        Sample::of("door-setup-refused", &accept(LinkKind::Setup, set_up)),
        Sample::of("door-invitation", &accept(LinkKind::Invitation, Filled::with([("name", "Grace")]))),
        Sample::of("door-reset", &accept(LinkKind::Reset, Filled::blank())),
        Sample::of("door-enroll", &enroll()),
        Sample::of("door-codes", &Codes { shell: outside("Recovery codes"), codes, next: "/".into() }),
        Sample::of("door-forgot", &forgot(true)),
        Sample::of("door-forgot-no-mail", &forgot(false)),
        Sample::of("door-request", &request),
        Sample::of("door-signed-out", &signed_out()),
    ]
}
