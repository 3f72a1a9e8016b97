//! The door of a route: who may not come in is told so before anything of the request is read. What exactly somebody
//! may do, and to which things, the services decide.

use std::sync::Arc;

use axum::extract::{FromRequestParts as _, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use futures::future::BoxFuture;
use http::request::Parts;

use super::routes::Access;
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::Result;
use crate::hub::op::Op;

/// A handler behind a door.
#[derive(Clone)]
pub(super) struct Guarded<H> {
    pub(super) access: Access,
    pub(super) handler: H,
}

impl<H, T> Handler<T, Arc<Hub>> for Guarded<H>
where
    H: Handler<T, Arc<Hub>>,
    T: 'static,
{
    type Future = BoxFuture<'static, Response>;

    fn call(self, request: Request, hub: Arc<Hub>) -> Self::Future {
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match admit(self.access, &mut parts, &hub).await {
                Ok(()) => self.handler.call(Request::from_parts(parts, body), hub).await,
                Err(error) => error.into_response(),
            }
        })
    }
}

/// Finds out who asks, where that decides anything, and leaves it for the handler.
async fn admit(access: Access, parts: &mut Parts, hub: &Arc<Hub>) -> Result<()> {
    // For pages, which answer in their own way: they send whoever is not signed in to sign in.
    parts.extensions.insert(access);
    let open =
        matches!(access, Access::Open | Access::Proof | Access::Metrics | Access::Page(_) | Access::OwnPage);
    if open {
        return Ok(());
    }
    let op = Op::from_request_parts(parts, hub).await?;
    match access {
        Access::Action(action) => access::require_somewhere(&op, action)?,
        Access::SignedIn => drop(access::require_person(&op)?),
        _ => access::require_somebody(&op)?,
    }
    parts.extensions.insert(op);
    Ok(())
}
