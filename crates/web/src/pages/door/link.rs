//! One-time links: setting up the hub, accepting an invitation, setting a new password.

use axum::extract::Path;
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::people::links::{self, Answer as Filling, LinkKind, OpenLink};

use super::super::{Answer, Shared, refuse, show};
use super::{onward, shell};
use crate::error::PageError;
use crate::form::OpenForm;
use crate::ui::Filled;
use crate::views::door::Accept;
use crate::visitor::Arrival;

pub(super) fn routes(routes: Routes) -> Routes {
    ["/setup/{token}", "/invitation/{token}", "/reset/{token}"]
        .into_iter()
        .fold(routes, |routes, path| routes.get(path, Access::Open, ask).post(path, Access::Open, accept))
}

fn view_of(arrival: &Arrival, hub: &Shared, link: &OpenLink, token: &str, form: Filled) -> Accept {
    let (title, page) = match link.kind {
        LinkKind::Setup => ("Set up this hub", "setup"),
        LinkKind::Invitation => ("Welcome", "invitation"),
        LinkKind::Reset => ("New password", "reset"),
    };
    Accept {
        shell: shell(arrival, hub, title),
        form,
        kind: link.kind,
        action: format!("/{page}/{token}"),
        email: link.person.as_ref().map(|person| person.email.clone()).unwrap_or_default(),
        inviter: link.created_by.clone(),
    }
}

async fn ask(arrival: Arrival, hub: Shared, Path(token): Path<String>) -> Answer {
    let link = links::open(&arrival.op, &hub, &token).await.map_err(spent)?;
    let name = link.person.as_ref().map(|person| person.name.clone()).unwrap_or_default();
    // An invitation without a name carries the address in its place.
    let name = if name.contains('@') { String::new() } else { name };
    let form = Filled::with([("name", name.as_str())]);
    let view = view_of(&arrival, &hub, &link, &token, form);
    Ok(show(&view, &view.shell))
}

async fn accept(
    arrival: Arrival,
    hub: Shared,
    Path(token): Path<String>,
    OpenForm(fields): OpenForm,
) -> Answer {
    let accepted = async {
        let filling = Filling {
            email: fields.one("email")?.to_owned(),
            name: fields.one("name")?.to_owned(),
            password: fields.one("password")?.to_owned().into(),
        };
        links::accept(&arrival.op, &hub, &token, &filling, &arrival.browser).await
    };
    match accepted.await {
        Ok(signed_in) => Ok(onward(&signed_in.secret, signed_in.stage, "/")),
        Err(error) => {
            let link = links::open(&arrival.op, &hub, &token).await.map_err(spent)?;
            let form = Filled::refused(&fields, &error);
            Ok(refuse(&view_of(&arrival, &hub, &link, &token, form), &error))
        }
    }
}

/// A link that leads nowhere is nothing that somebody did wrong.
fn spent(error: Error) -> PageError {
    let title = matches!(error, Error::Forbidden(_)).then_some("This link is not good");
    PageError { title, ..error.into() }
}
