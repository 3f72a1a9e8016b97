//! `/sign-in`: the password, then a code or a new authenticator.

use axum::extract::RawQuery;
use axum::response::{IntoResponse as _, Redirect};
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes, cookie};
use nave_core::hub::people::sessions::{Found, Stage};
use nave_core::hub::people::{second_factor, sign_in};

use super::super::{Answer, Shared, append_cookie, refuse, show};
use super::{onward, shell, wanted};
use crate::error::PageError;
use crate::form::{Form, OpenForm};
use crate::page;
use crate::ui::{Filled, QrCode};
use crate::views::door::{Code, Codes, Enroll, Provider, SignIn};
use crate::visitor::{Arrival, next};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/sign-in", Access::Open, ask)
        .post("/sign-in", Access::Open, enter)
        .get("/sign-in/code", Access::Open, ask_code)
        .post("/sign-in/code", Access::Open, code)
        .get("/sign-in/enroll", Access::Open, ask_enroll)
        .post("/sign-in/enroll", Access::Open, enroll)
}

fn view_of(arrival: &Arrival, hub: &Shared, form: Filled, to: String) -> SignIn {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("next", &to).finish();
    let providers = hub.people.providers.iter().map(|provider| Provider {
        name: provider.label().to_owned(),
        path: format!("/oidc/begin/{}?{query}", provider.name()),
    });
    SignIn {
        shell: shell(arrival, hub, "Sign in"),
        form,
        next: to,
        providers: providers.collect(),
        access_requests: hub.people.settings.access_requests,
    }
}

async fn ask(arrival: Arrival, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    let (_, to) = wanted(query)?;
    if arrival.found.as_ref().is_some_and(|(_, found)| found.session.stage == Stage::Done) {
        return Ok(page::secured(Redirect::to(&to).into_response()));
    }
    let view = view_of(&arrival, &hub, Filled::blank(), to);
    Ok(show(&view, &view.shell))
}

async fn enter(arrival: Arrival, hub: Shared, OpenForm(fields): OpenForm) -> Answer {
    let to = next(Some(fields.one("next")?));
    let entered = async {
        let (email, password) = (fields.one("email")?, fields.one("password")?.to_owned().into());
        sign_in::with_password(&arrival.op, &hub, email, &password, &arrival.browser).await
    };
    match entered.await {
        Ok(signed_in) => Ok(onward(&signed_in.secret, signed_in.stage, &to)),
        Err(error) => Ok(refuse(&view_of(&arrival, &hub, Filled::refused(&fields, &error), to), &error)),
    }
}

/// The session of a sign-in that has come so far; the others begin anew.
fn halfway(arrival: &Arrival, stages: &[Stage]) -> Option<Found> {
    let found = arrival.found.as_ref().map(|(_, found)| found);
    found.filter(|found| stages.contains(&found.session.stage)).cloned()
}

async fn ask_code(arrival: Arrival, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    let (fields, to) = wanted(query)?;
    if halfway(&arrival, &[Stage::Code]).is_none() {
        return Ok(page::secured(Redirect::to("/sign-in").into_response()));
    }
    let recovery = fields.one("recovery")? == "1";
    let shell = shell(&arrival, &hub, "Second factor");
    let view = Code { shell, form: Filled::blank(), next: to, recovery };
    Ok(show(&view, &view.shell))
}

async fn code(arrival: Arrival, hub: Shared, Form(fields): Form) -> Answer {
    let to = next(Some(fields.one("next")?));
    let Some(found) = halfway(&arrival, &[Stage::Code]) else {
        return Ok(page::secured(Redirect::to("/sign-in").into_response()));
    };
    let entered =
        async { sign_in::with_code(&arrival.op, &hub, &found, fields.one("code")?, &arrival.browser).await };
    match entered.await {
        Ok(signed_in) => Ok(onward(&signed_in.secret, signed_in.stage, &to)),
        Err(error) => {
            let recovery = fields.one("recovery")? == "1";
            let shell = shell(&arrival, &hub, "Second factor");
            let view = Code { shell, form: Filled::refused(&fields, &error), next: to, recovery };
            Ok(refuse(&view, &error))
        }
    }
}

async fn enroll_view(
    arrival: &Arrival,
    hub: &Shared,
    found: &Found,
    form: Filled,
    to: String,
) -> Result<Enroll, PageError> {
    let seed = second_factor::seed(hub, &found.person).await?;
    let qr = QrCode::of(&seed.address).map_err(Error::internal)?;
    // In groups, a seed is easier to type.
    let letters: Vec<char> = seed.text.chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    Ok(Enroll {
        shell: shell(arrival, hub, "Set up your second factor"),
        form,
        next: to,
        qr,
        seed: groups.join(" "),
        email: found.person.email.clone(),
    })
}

async fn ask_enroll(arrival: Arrival, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    let (_, to) = wanted(query)?;
    let Some(found) = enrolling(&arrival) else {
        return Ok(page::secured(Redirect::to("/sign-in").into_response()));
    };
    let view = enroll_view(&arrival, &hub, &found, Filled::blank(), to).await?;
    Ok(show(&view, &view.shell))
}

/// Somebody who must, or wants to, set up a second factor.
fn enrolling(arrival: &Arrival) -> Option<Found> {
    halfway(arrival, &[Stage::Enroll, Stage::Done]).filter(|found| !found.person.totp_confirmed)
}

async fn enroll(arrival: Arrival, hub: Shared, Form(fields): Form) -> Answer {
    let to = next(Some(fields.one("next")?));
    let Some(found) = enrolling(&arrival) else {
        return Ok(page::secured(Redirect::to("/sign-in").into_response()));
    };
    let entered =
        async { sign_in::enroll(&arrival.op, &hub, &found, fields.one("code")?, &arrival.browser).await };
    match entered.await {
        Ok((signed_in, codes)) => {
            let view = Codes {
                shell: shell(&arrival, &hub, "Recovery codes"),
                codes: codes.0.iter().map(|code| code.to_string()).collect(),
                next: to,
            };
            let mut response = show(&view, &view.shell);
            append_cookie(&mut response, &cookie::set(Some(&signed_in.secret)));
            Ok(response)
        }
        Err(error) => {
            let form = Filled::refused(&fields, &error);
            Ok(refuse(&enroll_view(&arrival, &hub, &found, form, to).await?, &error))
        }
    }
}
