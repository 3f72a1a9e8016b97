//! Declares routes. A route cannot be declared without saying who may use it, and the declarations are the rows of
//! the authorization table. Routes of the API are declared together with their description.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use http::Method;
use utoipa::openapi::OpenApi;

use super::guard::Guarded;
use super::openapi::{self, Operation};
use crate::hub::access::Action;
use crate::hub::context::Hub;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone; it tells and changes nothing that needs protecting.
    Open,
    /// Whoever proves, inside the connection, a key or a ticket.
    Proof,
    /// Whoever may do this.
    Action(Action),
    /// A page for whoever may do this somewhere; whoever is not signed in is sent to sign in.
    Page(Action),
    /// A page for whoever is signed in.
    OwnPage,
    /// Whoever may do this; and everybody to what is their own.
    OwnOr(Action),
    /// Whoever is signed in, about what is their own.
    SignedIn,
    /// Whoever is somebody, about themselves.
    Known,
    /// Loopback, or whoever holds the metrics token.
    Metrics,
    /// Whoever the configuration lets in for this dialect: by a listed network, or by a token on a connection of its own.
    Listed,
}

/// One row of the authorization table.
#[derive(Clone, Debug)]
pub struct RouteRow {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: String,
    /// Who may use it.
    pub access: Access,
}

impl std::fmt::Display for RouteRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let access = match self.access {
            Access::Open => "everyone",
            Access::Proof => "a key or ticket proved on the connection",
            Access::Action(action) => return write_row(f, self, &format!("{action:<24} {}", action.who())),
            Access::OwnOr(action) => {
                let access = format!("{action:<24} {}, or whose own it is", action.who());
                return write_row(f, self, &access);
            }
            Access::Page(action) => {
                return write_row(f, self, &format!("page: {action:<18} {}", action.roles));
            }
            Access::OwnPage => "page: whoever is signed in",
            Access::SignedIn => "whoever is signed in, about what is their own",
            Access::Known => "whoever is known to the hub, about themselves",
            Access::Metrics => "loopback or the metrics token",
            Access::Listed => "clients that the configuration lets in",
        };
        write_row(f, self, access)
    }
}

fn write_row(f: &mut std::fmt::Formatter<'_>, row: &RouteRow, access: &str) -> std::fmt::Result {
    write!(f, "{:<7} {:<50} {access}", row.method.as_str(), row.path)
}

/// Routes with the rows that they stand for.
#[derive(Default)]
pub struct Routes {
    router: Router<Arc<Hub>>,
    rows: Vec<RouteRow>,
    /// What the operations among them say about themselves.
    described: OpenApi,
    /// The noun whose operations are being declared.
    noun: &'static str,
}

impl Routes {
    /// Declares a route.
    #[must_use]
    pub fn on<H, T>(mut self, method: Method, path: &str, access: Access, handler: H) -> Self
    where
        H: Handler<T, Arc<Hub>>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("the standard methods have filters");
        self.router = self.router.route(path, on(filter, Guarded { access, handler }));
        self.rows.push(RouteRow { method, path: path.to_owned(), access });
        self
    }

    /// Declares a route that reads.
    #[must_use]
    pub fn get<H, T>(self, path: &str, access: Access, handler: H) -> Self
    where
        H: Handler<T, Arc<Hub>>,
        T: 'static,
    {
        self.on(Method::GET, path, access, handler)
    }

    /// Declares a route that acts.
    #[must_use]
    pub fn post<H, T>(self, path: &str, access: Access, handler: H) -> Self
    where
        H: Handler<T, Arc<Hub>>,
        T: 'static,
    {
        self.on(Method::POST, path, access, handler)
    }

    /// Declares a route of the API: where it is, its description says.
    #[must_use]
    pub fn operation<H, T>(mut self, access: Access, operation: Operation<H>) -> Self
    where
        H: Handler<T, Arc<Hub>>,
        T: 'static,
    {
        let Operation { handler, mut description } = operation;
        let (method, path) = openapi::name(&mut description, self.noun);
        self.described.merge(description);
        self.on(method, &path, access, handler)
    }

    /// Declares the operations on one noun.
    #[must_use]
    pub fn noun(mut self, noun: &'static str, what: &str, declare: impl FnOnce(Self) -> Self) -> Self {
        self.noun = noun;
        let mut tag = utoipa::openapi::Tag::new(noun);
        tag.description = Some(what.to_owned());
        self.described.tags.get_or_insert_default().push(tag);
        declare(self)
    }

    /// Adds routes that another part of the hub declares.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.rows.extend(other.rows);
        self.described.merge(other.described);
        self
    }

    /// Lets the handlers of these routes take something that their declarer has.
    #[must_use]
    pub fn with<T: Clone + Send + Sync + 'static>(mut self, extension: axum::Extension<T>) -> Self {
        self.router = self.router.layer(extension);
        self
    }

    /// The authorization table.
    pub fn rows(&self) -> &[RouteRow] {
        &self.rows
    }

    /// The description of the API.
    pub fn document(&self) -> OpenApi {
        openapi::complete(self.described.clone(), &self.rows)
    }

    /// The router over them.
    pub fn into_router(self) -> Router<Arc<Hub>> {
        self.router
    }
}
