//! `/streams`: the streams under way.

use axum::extract::{Path, RawQuery};
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::streams::{self, CUT, READ};

use super::{Answer, Shared, done, may, shell, show};
use crate::form::{Fields, Form};
use crate::views::listing::{Listing, Pager};
use crate::views::streams::Streams;
use crate::visitor::Visitor;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get("/streams", Access::Page(READ), list).post("/streams/{stream}/cut", Access::Page(CUT), cut)
}

async fn list(visitor: Visitor, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    let streams = streams::list(&visitor.op, &hub)?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let listing = Listing::new("/streams", &[("page", query.one("page")?)]);
    let total = streams.len();
    let (streams, pager) = Pager::cut(&listing, streams);
    let shell = shell(&visitor, &hub, "Streams", "/streams").await?;
    let may_cut = may(&visitor.op, CUT);
    let view = Streams { shell, listing, streams, pager, total, may_cut };
    Ok(show(&view, &view.shell))
}

async fn cut(visitor: Visitor, hub: Shared, Path(id): Path<String>, _: Form) -> Answer {
    streams::cut(&visitor.op, &hub, &id).await?;
    Ok(done("/streams", "The stream is cut."))
}
