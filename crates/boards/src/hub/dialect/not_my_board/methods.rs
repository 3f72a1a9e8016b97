//! The methods that clients call, with their arguments, results and errors.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::hub::access::Action;
use serde_json::{Value, json};

use super::description;
use super::python::{iterate, key_error};
use super::session::Session;
use crate::hub::{READ, REGISTER, RESERVE};
use crate::not_my_board::channel::{Channel, Methods, Outcome};
use crate::not_my_board::message::{Failure, Params};
use crate::not_my_board::python::{arguments, hashable};

/// A method, and what whoever calls it must be allowed to do; nothing for what tells and changes nothing.
pub const METHODS: [(&str, Option<Action>); 7] = [
    ("get_authentication_response", None),
    ("get_place_stats", Some(READ)),
    ("get_reservations", Some(READ)),
    ("register_place", Some(REGISTER)),
    ("reserve", Some(RESERVE)),
    ("return_reservation", Some(RESERVE)),
    // Of one's own requests.
    ("rpc.cancel", None),
];

impl Methods for Arc<Session> {
    fn call(
        &self,
        channel: Channel,
        method: String,
        params: Params,
    ) -> BoxFuture<'static, Result<Outcome, Failure>> {
        let session = Self::clone(self);
        async move {
            let Some((name, action)) = METHODS.into_iter().find(|(name, _)| *name == method) else {
                return Err(Failure::no_method());
            };
            if let Some(action) = action {
                session.require(action).await?;
            }
            match name {
                "register_place" => register_place(&session, channel, params),
                "reserve" => reserve(&session, params).await,
                "return_reservation" => return_reservation(&session, params).await,
                "get_reservations" => get_reservations(&session, params),
                "get_place_stats" => get_place_stats(&session, params),
                "get_authentication_response" => {
                    get_authentication_response(&session, &channel, params).await
                }
                _ => Err(Failure::no_method()),
            }
        }
        .boxed()
    }
}

fn register_place(session: &Arc<Session>, channel: Channel, params: Params) -> Result<Outcome, Failure> {
    let [description] = arguments("Hub.register_place", ["export_desc"], params)?;
    let id = session.register(channel, description::read(&description)?)?;
    Ok(json!(id).into())
}

async fn reserve(session: &Arc<Session>, params: Params) -> Result<Outcome, Failure> {
    let [candidates] = arguments("Hub.reserve", ["candidate_ids"], params)?;
    let reserved = session.reserve(numbers(candidates)?).await?;
    let id = reserved.place.id;
    let session = Arc::clone(session);
    let delivered = move || session.take(reserved);
    Ok(Outcome { delivered: Some(Box::new(delivered)), ..Outcome::of(&id) })
}

/// The numbers of places in an argument. Whatever else is in it names no place.
fn numbers(candidates: Value) -> Result<Vec<u64>, Failure> {
    let mut ids = Vec::new();
    for candidate in iterate(candidates)? {
        ids.extend(hashable(&candidate)?.as_u64());
    }
    Ok(ids)
}

async fn return_reservation(session: &Session, params: Params) -> Result<Outcome, Failure> {
    let [id] = arguments("Hub.return_reservation", ["place_id"], params)?;
    let (place, lease) =
        hashable(&id)?.as_u64().and_then(|id| session.untake(id)).ok_or_else(|| key_error(&id))?;
    session.give_back(&place, lease).await?;
    Ok(Value::Null.into())
}

fn get_reservations(session: &Session, params: Params) -> Result<Outcome, Failure> {
    let [] = arguments("Hub.get_reservations", [], params)?;
    let all = session.reservations()?;
    let rows: Vec<Value> = all
        .into_iter()
        .map(|(place, held)| json!({ "place_id": place.id, "user": held.lease.holder.name }))
        .collect();
    Ok(json!({ "reservations": rows }).into())
}

fn get_place_stats(session: &Session, params: Params) -> Result<Outcome, Failure> {
    let [id] = arguments("Hub.get_place_stats", ["place_id"], params)?;
    let place = hashable(&id)?.as_u64().and_then(|id| session.place(id)).ok_or_else(|| key_error(&id))?;
    Ok(json!({ "uniqueness": place.uniqueness() }).into())
}

async fn get_authentication_response(
    session: &Session,
    channel: &Channel,
    params: Params,
) -> Result<Outcome, Failure> {
    let [state] = arguments("Hub.get_authentication_response", ["state"], params)?;
    let Value::String(state) = hashable(&state)? else {
        return Err(Failure::raised("the state of a sign-in must be a text"));
    };
    let begun = session.begin_login(state);
    let mut login = begun.ok_or_else(|| Failure::raised("too many sign-ins are under way"))?;
    let told = channel.notify("oidc_callback_registered").await;
    told.map_err(|error| Failure::raised(error.to_string()))?;
    Ok(Value::Object(login.query().await).into())
}
