//! `/agents/variables`: what hosts are told. A value goes in, and nobody is shown it again.

use axum::extract::Path;
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes};
use nave_web::error::PageError;
use nave_web::form::Form;
use nave_web::ui::Filled;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, refuse, shell, show};

use super::views::VariablesPage;
use super::{Fleet, tabs};
use crate::api::NewVariable;
use crate::hub::{MANAGE, settings};

const PATH: &str = "/agents/variables";

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(PATH, Access::Page(MANAGE), list)
        .post(PATH, Access::Page(MANAGE), set)
        .post("/agents/variables/{key}/export", Access::Page(MANAGE), export)
        .post("/agents/variables/{key}/unset", Access::Page(MANAGE), unset)
}

async fn list(visitor: Visitor, hub: Shared) -> Answer {
    let view = view_of(&visitor, &hub, Filled::blank()).await?;
    Ok(show(&view, &view.shell))
}

async fn view_of(visitor: &Visitor, hub: &Shared, form: Filled) -> Result<VariablesPage, PageError> {
    Ok(VariablesPage {
        shell: shell(visitor, hub, "Variables", "/agents").await?,
        tabs: tabs(&visitor.op, PATH),
        variables: settings::variables(&visitor.op, hub).await?,
        form,
    })
}

async fn set(visitor: Visitor, hub: Shared, agents: Fleet, Form(fields): Form) -> Answer {
    let set = async {
        let key = fields.one("key")?.trim();
        let value = Some(fields.one("value")?).filter(|value| !value.is_empty()).map(str::to_owned);
        if value.is_none() {
            return Err(Error::invalid("value", "must not be empty"));
        }
        let new = NewVariable { value, exported: Some(fields.one("exported")? == "yes") };
        settings::set_variable(&visitor.op, &hub, &agents, key, new).await?;
        Ok(key.to_owned())
    };
    match set.await {
        Ok(key) => Ok(done(PATH, &format!("{key} is set, and the hosts that need it are told."))),
        Err(error) => {
            let view = view_of(&visitor, &hub, Filled::refused(&fields, &error)).await?;
            Ok(refuse(&view, &error))
        }
    }
}

async fn export(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(key): Path<String>,
    Form(fields): Form,
) -> Answer {
    let exported = fields.one("exported")? == "yes";
    let new = NewVariable { value: None, exported: Some(exported) };
    settings::set_variable(&visitor.op, &hub, &agents, &key, new).await?;
    let words = if exported { "find it in their shell" } else { "do not find it in their shell any more" };
    Ok(done(PATH, &format!("{key}: agents {words}.")))
}

async fn unset(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(key): Path<String>,
    Form(_): Form,
) -> Answer {
    settings::unset_variable(&visitor.op, &hub, &agents, &key).await?;
    Ok(done(PATH, &format!("{key} is gone.")))
}
