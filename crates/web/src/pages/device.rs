//! `/device`: letting a command line act for oneself.

use axum::extract::RawQuery;
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::people::devices;

use super::{Answer, Shared, done, refuse, shell, show};
use crate::form::{Fields, Form};
use crate::ui::Filled;
use crate::views::device::{AskCode, Decide};
use crate::visitor::Visitor;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get("/device", Access::OwnPage, ask).post("/device", Access::OwnPage, decide)
}

async fn ask(visitor: Visitor, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let shell = shell(&visitor, &hub, "Sign in a device", "/account").await?;
    let Some(code) = fields.filled("code")? else {
        let view = AskCode { shell, form: Filled::blank() };
        return Ok(show(&view, &view.shell));
    };
    match devices::waiting(&visitor.op, &hub, code).await {
        Ok(device) => {
            let view = Decide { shell, device, person: visitor.op.actor.name() };
            Ok(show(&view, &view.shell))
        }
        Err(error @ Error::Invalid { .. }) => {
            Ok(refuse(&AskCode { shell, form: Filled::refused(&fields, &error) }, &error))
        }
        Err(error) => Err(error.into()),
    }
}

async fn decide(visitor: Visitor, hub: Shared, Form(fields): Form) -> Answer {
    let code = fields.one("code")?;
    if fields.one("decision")? == "approve" {
        devices::approve(&visitor.op, &hub, code).await?;
        Ok(done("/account", "The device is signed in. You can go back to its terminal."))
    } else {
        devices::deny(&visitor.op, &hub, code).await?;
        Ok(done("/account", "The device was not let in."))
    }
}
