//! `/status`: the checks and the jobs.

use nave_core::hub::http::{Access, Routes};
use nave_core::hub::{job, status};

use super::{Answer, Shared, shell, show};
use crate::views::status::Status;
use crate::visitor::Visitor;

/// Reading what the hub is and how it is.
const READ: nave_core::hub::access::Action = nave_core::hub::status::READ;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get("/status", Access::Page(READ), page)
}

async fn page(visitor: Visitor, hub: Shared) -> Answer {
    nave_core::hub::access::require(&visitor.op, READ)?;
    let shell = shell(&visitor, &hub, "Status", "/status").await?;
    let mut checks = status::running(&hub).await;
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    let view = Status { shell, checks, jobs: job::list(&hub), version: env!("CARGO_PKG_VERSION").to_owned() };
    Ok(show(&view, &view.shell))
}
