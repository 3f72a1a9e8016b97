//! `/boards/reserve`: any place that has what is wanted.

use axum::extract::RawQuery;
use nave_core::hub::http::{Access, Routes};
use nave_web::form::{Fields, Form};
use nave_web::ui::Filled;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, refuse, shell, show};

use super::views::{ReserveAny, path_of};
use super::{Fleet, beside, seconds, yours};
use crate::api::{ReserveRequest, WantedPart};
use crate::hub::{RESERVE, wish};

const PATH: &str = "/boards/reserve";
const TITLE: &str = "Reserve a place";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(PATH, Access::Page(RESERVE), form).post(PATH, Access::Page(RESERVE), reserve)
}

async fn form(visitor: Visitor, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let form = Filled::with([("tags", query.one("tag")?), ("time", "10h")]);
    let shell = shell(&visitor, &hub, TITLE, "/boards").await?;
    let view = ReserveAny { shell, form };
    Ok(show(&view, &view.shell))
}

async fn reserve(visitor: Visitor, hub: Shared, boards: Fleet, Form(fields): Form) -> Answer {
    let reserved = async {
        let compatible: Vec<String> = fields.one("tags")?.split_whitespace().map(ToOwned::to_owned).collect();
        let parts = if compatible.is_empty() {
            Vec::new()
        } else {
            vec![WantedPart { compatible, ..WantedPart::default() }]
        };
        let request = ReserveRequest {
            parts,
            name: fields.one("name")?.trim().to_owned(),
            seconds: seconds(&fields, "time")?,
            ..ReserveRequest::default()
        };
        wish::reserve_and_look(&visitor.op, &hub, &boards, request).await
    };
    match reserved.await {
        Ok(reserved) => Ok(done(&path_of(&reserved.place), &yours(&boards, &reserved.place))),
        Err(error) => {
            let error = beside(error, "time");
            let shell = shell(&visitor, &hub, TITLE, "/boards").await?;
            Ok(refuse(&ReserveAny { shell, form: Filled::refused(&fields, &error) }, &error))
        }
    }
}
