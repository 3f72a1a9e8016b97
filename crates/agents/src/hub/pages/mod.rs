//! The fleet's pages in the console: agents, their logs, mail, costs, hosts, models and variables. What they do is the
//! services'.

mod acts;
mod agent;
mod bell;
mod compose;
mod config;
mod costs;
mod hosts;
mod list;
mod mails;
mod models;
#[cfg(test)]
mod tests;
mod told;
mod variables;
pub mod views;

use axum::Extension;
use nave_core::api::Event;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::Routes;
use nave_core::hub::op::Op;
use nave_web::form::Fields;
use nave_web::may;
use nave_web::section::{Entry, Figure, Section, Told};

pub(super) use self::bell::listen;
use self::views::{Counts, Tab};
use super::{Agents, MANAGE, NAME, READ, roster};

type Fleet = Extension<Agents>;

/// The topic that tells that lines were written to logs.
const LOGS: &str = "agents_log";

impl Section for Agents {
    fn entry(&self) -> Entry {
        Entry { name: "Agents", path: "/agents", icon: "agents", action: READ, topic: NAME, further: &[LOGS] }
    }

    fn routes(&self, routes: Routes) -> Routes {
        let pages = [
            list::routes,
            agent::routes,
            acts::routes,
            config::routes,
            mails::routes,
            compose::routes,
            costs::routes,
            hosts::routes,
            models::routes,
            variables::routes,
        ];
        let pages = pages.into_iter().fold(Routes::default(), |routes, declare| declare(routes));
        routes.merge(pages.with(Extension(self.clone())))
    }

    fn tell(&self, event: &Event) -> Option<Told> {
        told::tell(event)
    }

    fn figures(&self, op: &Op, _: &Hub) -> Result<Vec<Figure>> {
        let counts = Counts::of(&roster::list(op, self, false)?);
        let online = super::hosts::list(op, self)?.iter().filter(|host| host.online).count();
        let figure = |label, value, dot, path| Figure { label, value, dot, path };
        Ok(vec![
            figure("Active", counts.active, "good", "/agents?state=active"),
            figure("Available", counts.available, "busy", "/agents?state=available"),
            figure("Suspended", counts.suspended, "warn", "/agents?state=suspended"),
            figure("Hosts online", online, "good", "/agents/hosts"),
        ])
    }
}

/// The fleet's pages, one beside the other, as far as somebody may see them.
fn tabs(op: &Op, here: &str) -> Vec<Tab> {
    let all = [
        ("Agents", "/agents", READ),
        ("Mail", "/agents/mail", MANAGE),
        ("Costs", "/agents/costs", READ),
        ("Hosts", "/agents/hosts", READ),
        ("Models", "/agents/models", READ),
        ("Variables", "/agents/variables", MANAGE),
    ];
    let seen = all.into_iter().filter(|(_, _, action)| may(op, *action));
    seen.map(|(label, path, _)| Tab { label, path: path.to_owned(), here: path == here }).collect()
}

/// A number that was typed; none where nothing was.
fn number<T: std::str::FromStr>(fields: &Fields, name: &'static str, kind: &str) -> Result<Option<T>> {
    let Some(text) = fields.filled(name)? else { return Ok(None) };
    let number = text.trim_start_matches('$').parse();
    number.map(Some).map_err(|_| Error::invalid(name, format!("{text:?} is not {kind}")))
}

/// A number in an address; whatever is none counts as not said.
fn asked<T: std::str::FromStr>(query: &Fields, name: &'static str) -> Result<Option<T>> {
    Ok(query.filled(name)?.and_then(|text| text.parse().ok()))
}
