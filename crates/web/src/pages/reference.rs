//! `/reference`: the API, as its own description tells it.

use axum::Extension;
use nave_core::hub::http::{Access, Document, Routes};

use super::{Answer, Shared, shell, show};
use crate::views::reference::{Reference, nouns};
use crate::visitor::Visitor;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get("/reference", Access::OwnPage, page)
}

async fn page(visitor: Visitor, hub: Shared, Extension(document): Extension<Document>) -> Answer {
    let description = serde_json::from_slice(&document.text()).unwrap_or_default();
    let url = hub.url.get().map(ToString::to_string).unwrap_or_default();
    let view = Reference {
        shell: shell(&visitor, &hub, "API", "/reference").await?,
        nouns: nouns(&description),
        url,
    };
    Ok(show(&view, &view.shell))
}
