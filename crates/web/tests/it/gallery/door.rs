//! The pages before anybody is signed in.

use nave_core::hub::error::Error;
use nave_core::hub::people::links::LinkKind;
use nave_web::form::Fields;
use nave_web::ui::{Filled, QrCode};
use nave_web::views::door::{Accept, Code, Codes, Enroll, Forgot, Provider, RequestAccess, Said, SignIn};

use super::{Sample, outside};

pub fn samples() -> Vec<Sample> {
    let refused = |body: &[u8], error: Error| Filled::refused(&Fields::parse(body).unwrap(), &error);
    let sign_in = |form, providers| SignIn {
        shell: outside("Sign in"),
        form,
        next: "/".to_owned(),
        providers,
        access_requests: true,
    };
    let wrong = Error::Unauthenticated(
        "the address or the password is wrong, or the account is not in use".to_owned(),
    );
    let provider = |name: &str| Provider { name: name.to_owned(), path: "/oidc/sign-in/x".to_owned() };
    let accept = |kind, form| Accept {
        shell: outside("Set up"),
        form,
        kind,
        action: "/setup/x".to_owned(),
        email: "grace@example.org".to_owned(),
        inviter: "Ada".to_owned(),
    };
    let seed = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    let codes: Vec<String> = (0..10).map(|at| format!("k7wm-{at}h3x-9rtv-4bqz")).collect();
    vec![
        Sample::of("door-sign-in", &sign_in(Filled::blank(), vec![])),
        Sample::of(
            "door-sign-in-providers",
            &sign_in(
                refused(b"email=ada@example.org&password=x", wrong),
                vec![provider("Example University"), provider("Hospital of St. Example and its institutes")],
            ),
        ),
        Sample::of(
            "door-code",
            &Code {
                shell: outside("Second factor"),
                form: Filled::blank(),
                next: "/".into(),
                recovery: false,
            },
        ),
        Sample::of(
            "door-code-wrong",
            &Code {
                shell: outside("Second factor"),
                form: refused(
                    b"code=123456",
                    Error::invalid("code", "is not right, or was used already: wait for the next one"),
                ),
                next: "/".into(),
                recovery: false,
            },
        ),
        Sample::of(
            "door-code-recovery",
            &Code {
                shell: outside("Recovery code"),
                form: Filled::blank(),
                next: "/".into(),
                recovery: true,
            },
        ),
        Sample::of("door-setup", &accept(LinkKind::Setup, Filled::blank())),
        Sample::of(
            "door-setup-refused",
            &accept(
                LinkKind::Setup,
                refused(
                    b"email=ada@example.org&name=Ada&password=short",
                    Error::invalid(
                        "password",
                        "must have at least 10 characters; several words are easy to remember",
                    ),
                ),
            ),
        ),
        Sample::of("door-invitation", &accept(LinkKind::Invitation, Filled::with([("name", "Grace")]))),
        Sample::of("door-reset", &accept(LinkKind::Reset, Filled::blank())),
        Sample::of(
            "door-enroll",
            &Enroll {
                shell: outside("Second factor"),
                form: Filled::blank(),
                next: "/".into(),
                qr: QrCode::of(&format!("otpauth://totp/Nave:ada@example.org?secret={seed}&issuer=Nave"))
                    .unwrap(),
                seed: seed.to_owned(),
                email: "ada@example.org".to_owned(),
            },
        ),
        Sample::of("door-codes", &Codes { shell: outside("Recovery codes"), codes, next: "/".into() }),
        Sample::of("door-forgot", &Forgot { shell: outside("Forgot"), form: Filled::blank(), mails: true }),
        Sample::of(
            "door-forgot-no-mail",
            &Forgot { shell: outside("Forgot"), form: Filled::blank(), mails: false },
        ),
        Sample::of(
            "door-request",
            &RequestAccess { shell: outside("Request access"), form: Filled::blank() },
        ),
        Sample::of(
            "door-signed-out",
            &Said {
                shell: outside("Signed out"),
                icon: "leave",
                title: "Signed out".to_owned(),
                words: "Your session on this browser has ended.".to_owned(),
                next: Some(("/sign-in".to_owned(), "Sign in again")),
                primary: true,
            },
        ),
    ]
}
