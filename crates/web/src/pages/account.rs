//! `/account`: what is one's own.

use axum::extract::Path;
use nave_core::api::{NewApiToken, PersonChange, Role};
use nave_core::hub::access;
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::people::{self as accounts, devices, idp, links, second_factor, sessions, tokens};
use nave_core::hub::{nodes, nodes::READ as NODES};

use super::{Answer, Shared, done, refuse, shell, show};
use crate::error::PageError;
use crate::form::{Fields, Form};
use crate::ui::Filled;
use crate::views::account::{Account, NewCodes, NewToken};
use crate::visitor::{Visitor, next};

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get("/account", Access::OwnPage, page)
        .post("/account/profile", Access::OwnPage, profile)
        .post("/account/password", Access::OwnPage, password)
        .post("/account/recovery-codes", Access::OwnPage, recovery_codes)
        .post("/account/tokens", Access::OwnPage, make_token)
        .post("/account/tokens/{token}/end", Access::OwnPage, end_token)
        .post("/account/sessions/end-others", Access::OwnPage, end_others)
        .post("/account/sessions/{session}/end", Access::OwnPage, end_session)
        .post("/account/devices/{device}/revoke", Access::OwnPage, revoke_device)
        .post("/account/programs/{sign_in}/end", Access::OwnPage, end_program)
}

/// The forms of the page, of which one may have come back.
#[derive(Default)]
struct Forms {
    profile: Option<Filled>,
    password: Option<Filled>,
    token: Option<Filled>,
}

async fn page(visitor: Visitor, hub: Shared) -> Answer {
    let view = view_of(&visitor, &hub, Forms::default()).await?;
    Ok(show(&view, &view.shell))
}

async fn view_of(visitor: &Visitor, hub: &Shared, forms: Forms) -> Result<Account, PageError> {
    let op = &visitor.op;
    let id = access::require_person(op)?.id.to_string();
    let person = accounts::show(op, hub, &id).await?;
    let nodes = match access::require_somewhere(op, NODES) {
        Ok(()) => nodes::briefs(op, hub).await?.into_iter().map(|node| node.name).collect(),
        Err(_) => Vec::new(),
    };
    let token = || Filled::with([("role", "viewer"), ("scope", "*"), ("ttl", "2592000")]);
    Ok(Account {
        shell: shell(visitor, hub, "Your account", "/account").await?,
        profile: forms.profile.unwrap_or_else(|| Filled::with([("name", person.name.as_str())])),
        password: forms.password.unwrap_or_default(),
        codes_left: second_factor::codes_left(op, hub).await?,
        sessions: sessions::list(op, hub, &id).await?,
        devices: devices::list(op, hub, &id).await?,
        programs: idp::list(op, hub, &id).await?,
        tokens: tokens::list(op, hub).await?,
        token: forms.token.unwrap_or_else(token),
        nodes,
        url: hub.url.get().map(ToString::to_string).unwrap_or_default(),
        person,
    })
}

async fn profile(visitor: Visitor, hub: Shared, Form(fields): Form) -> Answer {
    let saved = async {
        let id = access::require_person(&visitor.op)?.id.to_string();
        let change = PersonChange {
            name: Some(fields.one("name")?.to_owned()),
            version: fields.filled("version")?.and_then(|version| version.parse().ok()),
            ..PersonChange::default()
        };
        accounts::change(&visitor.op, &hub, &id, &change).await
    };
    match saved.await {
        Ok(()) => Ok(done("/account", "Saved.")),
        Err(error) => {
            let forms = Forms { profile: Some(Filled::refused(&fields, &error)), ..Forms::default() };
            Ok(refuse(&view_of(&visitor, &hub, forms).await?, &error))
        }
    }
}

async fn password(visitor: Visitor, hub: Shared, Form(fields): Form) -> Answer {
    let changed = async {
        let (old, new) = (fields.one("old")?.to_owned().into(), fields.one("password")?.to_owned().into());
        links::change_password(&visitor.op, &hub, &old, &new).await
    };
    match changed.await {
        Ok(()) => Ok(done("/account", "Your password is changed. You are signed out everywhere else.")),
        Err(error) => {
            let forms = Forms { password: Some(Filled::refused(&fields, &error)), ..Forms::default() };
            Ok(refuse(&view_of(&visitor, &hub, forms).await?, &error))
        }
    }
}

async fn recovery_codes(visitor: Visitor, hub: Shared, _: Form) -> Answer {
    let codes = second_factor::renew_codes(&visitor.op, &hub).await?;
    let view = NewCodes {
        shell: shell(&visitor, &hub, "Recovery codes", "/account").await?,
        codes: codes.0.iter().map(|code| code.to_string()).collect(),
    };
    Ok(show(&view, &view.shell))
}

async fn make_token(visitor: Visitor, hub: Shared, Form(fields): Form) -> Answer {
    let made = async {
        let new = new_token(&fields)?;
        tokens::make(&visitor.op, &hub, &new).await
    };
    match made.await {
        Ok(made) => {
            let shell = shell(&visitor, &hub, "A new token", "/account").await?;
            let url = hub.url.get().map(ToString::to_string).unwrap_or_default();
            let view = NewToken { shell, made, url };
            Ok(show(&view, &view.shell))
        }
        Err(error) => {
            // The name's field is called otherwise on this page, which has another name on it.
            let beside = match error {
                Error::Invalid { field, problem } if field == "name" => Error::invalid("token", problem),
                other => other,
            };
            let forms = Forms { token: Some(Filled::refused(&fields, &beside)), ..Forms::default() };
            Ok(refuse(&view_of(&visitor, &hub, forms).await?, &beside))
        }
    }
}

fn new_token(fields: &Fields) -> Result<NewApiToken, Error> {
    let role = fields.one("role")?;
    let ttl = fields.one("ttl")?;
    Ok(NewApiToken {
        name: fields.one("token")?.to_owned(),
        role: Role::from_word(role).ok_or_else(|| Error::invalid("role", "must be chosen"))?,
        scope: fields.filled("scope")?.unwrap_or("*").to_owned(),
        ttl_seconds: ttl.parse().map_err(|_| Error::invalid("ttl", "must be chosen"))?,
    })
}

async fn end_token(visitor: Visitor, hub: Shared, Path(id): Path<String>, _: Form) -> Answer {
    tokens::end(&visitor.op, &hub, &id).await?;
    Ok(done("/account", "The token has ended."))
}

async fn end_others(visitor: Visitor, hub: Shared, _: Form) -> Answer {
    sessions::end_others(&visitor.op, &hub).await?;
    Ok(done("/account", "You are signed out everywhere else."))
}

/// Administrators end other people's sessions from their page, and go back there.
fn back(fields: &Fields) -> Result<String, Error> {
    let to = next(Some(fields.one("back")?));
    Ok(if to == "/" { "/account".to_owned() } else { to })
}

async fn end_session(visitor: Visitor, hub: Shared, Path(id): Path<String>, Form(fields): Form) -> Answer {
    sessions::end(&visitor.op, &hub, &id).await?;
    Ok(done(&back(&fields)?, "The session has ended."))
}

async fn revoke_device(visitor: Visitor, hub: Shared, Path(id): Path<String>, Form(fields): Form) -> Answer {
    devices::revoke(&visitor.op, &hub, &id).await?;
    Ok(done(&back(&fields)?, "The device is signed out."))
}

async fn end_program(visitor: Visitor, hub: Shared, Path(id): Path<String>, Form(fields): Form) -> Answer {
    idp::end(&visitor.op, &hub, &id).await?;
    Ok(done(&back(&fields)?, "The program is signed out."))
}
