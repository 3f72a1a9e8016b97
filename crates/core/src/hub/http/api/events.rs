//! `/nave/v1/events`: the audit log.

use axum::Json;
use axum::extract::{Query, State};
use serde_json::{Value, json};

use super::{Shared, action};
use crate::api::{Event, EventFilter};
use crate::hub::access;
use crate::hub::error::{Error, Result};
use crate::hub::event;
use crate::hub::http::routes::Routes;
use crate::hub::op::Op;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/nave/v1/events", action(event::READ), list)
}

async fn list(op: Op, State(hub): Shared, Query(query): Query<Value>) -> Result<Json<Vec<Event>>> {
    access::require(&op, event::READ)?;
    let filter = event_filter(query)?;
    event::list(&op, &hub.store, &filter).await.map(Json)
}

/// Query strings hold only texts; the filter's numbers are read from them.
fn event_filter(query: Value) -> Result<EventFilter> {
    let Value::Object(mut fields) = query else { return Ok(EventFilter::default()) };
    for name in ["after", "before", "limit"] {
        if let Some(value) = fields.get_mut(name) {
            let number = value.as_str().and_then(|text| text.parse::<i64>().ok());
            *value = json!(number.ok_or_else(|| Error::invalid(name, "must be a whole number"))?);
        }
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| Error::invalid("filter", error.to_string()))
}
