//! `/agents/hosts`: the machines that run agents, and what is set about them.

use axum::extract::Path;
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes};
use nave_web::error::PageError;
use nave_web::form::Form;
use nave_web::ui::Filled;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, may, refuse, shell, show};

use super::views::{HostPage, HostsPage, host_path};
use super::{Fleet, number, tabs};
use crate::api::HostChange;
use crate::hub::{MANAGE, READ, hosts, roster};

const PATH: &str = "/agents/hosts";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(PATH, Access::Page(READ), list).get("/agents/hosts/{host}", Access::Page(READ), detail).post(
        "/agents/hosts/{host}",
        Access::Page(MANAGE),
        change,
    )
}

async fn list(visitor: Visitor, hub: Shared, agents: Fleet) -> Answer {
    let hosts = hosts::list(&visitor.op, &agents)?;
    let shell = shell(&visitor, &hub, "Hosts", "/agents").await?;
    let view = HostsPage { shell, tabs: tabs(&visitor.op, PATH), hosts, may: may(&visitor.op, MANAGE) };
    Ok(show(&view, &view.shell))
}

async fn detail(visitor: Visitor, hub: Shared, agents: Fleet, Path(name): Path<String>) -> Answer {
    let view = view_of(&visitor, &hub, &agents, &name, None).await?;
    Ok(show(&view, &view.shell))
}

async fn view_of(
    visitor: &Visitor,
    hub: &Shared,
    agents: &Fleet,
    name: &str,
    refused: Option<Filled>,
) -> Result<HostPage, PageError> {
    let host = hosts::show(&visitor.op, agents, name)?;
    let form = refused.unwrap_or_else(|| {
        let capacity = host.capacity.map(|capacity| capacity.to_string()).unwrap_or_default();
        let restricted = if host.restricted { "yes" } else { "" };
        Filled::with([("capacity", capacity.as_str()), ("restricted", restricted)])
    });
    let all = roster::list(&visitor.op, agents, false)?;
    let named = |names: &[String]| {
        all.iter().filter(|agent| names.contains(&agent.name)).cloned().collect::<Vec<_>>()
    };
    Ok(HostPage {
        shell: shell(visitor, hub, host.name.clone(), "/agents").await?,
        active: named(&host.active),
        assigned: named(&host.assigned),
        may: may(&visitor.op, MANAGE),
        host,
        form,
    })
}

async fn change(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(name): Path<String>,
    Form(fields): Form,
) -> Answer {
    let changed = async {
        let capacity = number(&fields, "capacity", "a whole number")?;
        let restricted = Some(fields.one("restricted")? == "yes");
        let change = HostChange { restricted, capacity: Some(capacity.unwrap_or(0)) };
        hosts::change(&visitor.op, &hub, &agents, &name, change).await
    };
    match changed.await {
        Ok(host) => Ok(done(&host_path(&host.name), &format!("{} is changed.", host.name))),
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => {
            let form = Some(Filled::refused(&fields, &error));
            Ok(refuse(&view_of(&visitor, &hub, &agents, &name, form).await?, &error))
        }
    }
}
