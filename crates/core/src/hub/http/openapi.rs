//! The description of the API (OpenAPI 3.1). What an operation takes and answers stands on its handler; who may use it
//! and how it can fail is added here, from the rows of the authorization table.

use bytes::Bytes;
use http::Method;
use serde_json::json;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{self, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, License, OpenApi, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::cookie;
use super::routes::{Access, RouteRow};
use crate::api::ErrorBody;

/// A handler and what it says about itself.
pub struct Operation<H> {
    /// The handler.
    pub handler: H,
    /// Its description, with the shapes that it names.
    pub description: OpenApi,
}

/// A handler with what `#[utoipa::path]` on it says.
#[macro_export]
macro_rules! operation {
    ($handler:ident) => {{
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($handler))]
        struct Described;
        $crate::hub::http::Operation {
            handler: $handler,
            description: <Described as utoipa::OpenApi>::openapi(),
        }
    }};
}
pub use operation;

/// The description as it is served.
#[derive(Clone, Debug)]
pub struct Document(Bytes);

impl Document {
    /// Writes a description down.
    pub fn new(document: &OpenApi) -> Self {
        Self(Bytes::from(document.to_pretty_json().expect("a description is plain data")))
    }

    /// Its text.
    pub fn text(&self) -> Bytes {
        self.0.clone()
    }
}

const ABOUT: &str = "The API by which the command line and programs command a hub. Times are RFC 3339 in UTC. Every \
answer carries the header `Nave-Request-Id`, which leads to the hub's log lines; every error has the shape of \
`ErrorBody` and names it too. On the hub's own machine its socket `hub.sock` takes the same requests, without \
credentials, from root and from the owner of the data folder. docs/api.md tells more.";

/// One way in which operations fail.
struct Failure {
    status: &'static str,
    name: &'static str,
    what: &'static str,
}

const fn failure(status: &'static str, name: &'static str, what: &'static str) -> Failure {
    Failure { status, name, what }
}

const INVALID: Failure = failure("400", "Invalid", "What was sent makes no sense; `field` says where.");
const UNAUTHENTICATED: Failure =
    failure("401", "Unauthenticated", "The hub does not know who asks. Nothing else was looked at.");
const FORBIDDEN: Failure = failure("403", "Forbidden", "Who asks is known, and may not do that.");
const NOT_FOUND: Failure = failure("404", "NotFound", "There is no such thing, or none that may be seen.");
const TOO_LARGE: Failure = failure("413", "TooLarge", "The body is longer than 256 KiB.");
const NOT_JSON: Failure = failure("415", "NotJson", "The body is not sent as application/json.");
const THROTTLED: Failure = failure(
    "429",
    "Throttled",
    "Too many attempts with wrong credentials, or too many questions, from one address.",
);
const INTERNAL: Failure = failure("500", "Internal", "The hub failed; its log has the details.");
const UNAVAILABLE: Failure =
    failure("503", "Unavailable", "Something that the hub needs is away. It is worth trying again.");

const FAILURES: [&Failure; 9] = [
    &INVALID,
    &UNAUTHENTICATED,
    &FORBIDDEN,
    &NOT_FOUND,
    &TOO_LARGE,
    &NOT_JSON,
    &THROTTLED,
    &INTERNAL,
    &UNAVAILABLE,
];

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut path::Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::PATCH, patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Puts the one operation of a description under its noun, and tells where it is. Handlers are named within their noun,
/// so the noun goes into the operation's id.
pub(super) fn name(description: &mut OpenApi, noun: &'static str) -> (Method, String) {
    let place = description.paths.paths.iter_mut().next();
    let place = place.and_then(|(path, item)| Some((path, operations(item).next()?)));
    let (path, (method, operation)) = place.expect("`operation!` describes one handler");
    let handler = operation.operation_id.take().unwrap_or_default();
    operation.operation_id = Some(format!("{}_{handler}", noun.replace('-', "_")));
    operation.tags = Some(vec![noun.to_owned()]);
    (method, path.clone())
}

/// Adds who may use each operation and how it can fail.
pub(super) fn complete(mut document: OpenApi, rows: &[RouteRow]) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Nave")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(License::new("Apache-2.0")))
        .build();
    for row in rows {
        let item = document.paths.paths.get_mut(&row.path);
        let operation = item.and_then(|item| operations(item).find(|(method, _)| *method == row.method));
        if let Some((method, operation)) = operation {
            never_null(operation);
            operation.security = Some(security(row.access));
            if let Some(action) = action(row.access) {
                operation
                    .extensions
                    .get_or_insert_default()
                    .insert("x-nave-action".to_owned(), json!(action));
            }
            add_failures(operation, row.access, &method);
        }
    }
    let components = document.components.get_or_insert_default();
    add_shared(components);
    document
}

fn action(access: Access) -> Option<&'static str> {
    match access {
        Access::Action(action) | Access::OwnOr(action) | Access::Page(action) => Some(action.name),
        _ => None,
    }
}

const NODE_KEY: &str = "nodeKey";
const API_TOKEN: &str = "apiToken";
const SESSION: &str = "session";

fn security(access: Access) -> Vec<SecurityRequirement> {
    let any_of: &[&str] = match access {
        Access::Open => &[],
        Access::Proof => &[NODE_KEY],
        _ => &[NODE_KEY, API_TOKEN, SESSION],
    };
    any_of.iter().map(|scheme| SecurityRequirement::new(*scheme, [""; 0])).collect()
}

/// A body or a parameter that may be left out is no `null`, as an `Option` of it would say.
fn never_null(operation: &mut path::Operation) {
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            if let RefOr::T(content) = content {
                content.schema.iter_mut().for_each(without_null);
            }
        }
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            parameter.schema.iter_mut().for_each(without_null);
        }
    }
}

fn without_null(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::OneOf(either)) if !either.items.is_empty() => *schema = either.items.swap_remove(0),
        RefOr::T(Schema::Object(object)) => {
            if let SchemaType::Array(types) = &object.schema_type
                && let [kind, Type::Null] = types.as_slice()
            {
                object.schema_type = SchemaType::Type(kind.clone());
            }
        }
        _ => {}
    }
}

/// The failures that an operation does not describe itself.
fn add_failures(operation: &mut path::Operation, access: Access, method: &Method) {
    let takes_body = operation.request_body.is_some();
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let in_path = |parameter: &path::Parameter| parameter.parameter_in == path::ParameterIn::Path;
    let names_one = parameters.iter().any(|parameter| matches!(parameter, RefOr::T(one) if in_path(one)));
    let known = access != Access::Open;
    // What everybody known may do is refused only where a page of another site might be the one that asks.
    let refusable = known && access != Access::Proof && (access != Access::Known || !method.is_safe());
    let possible = [
        (takes_body || !parameters.is_empty(), &INVALID),
        (known, &UNAUTHENTICATED),
        (refusable, &FORBIDDEN),
        (names_one, &NOT_FOUND),
        (takes_body, &TOO_LARGE),
        (takes_body, &NOT_JSON),
        (known, &THROTTLED),
        (true, &INTERNAL),
        (known || takes_body, &UNAVAILABLE),
    ];
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response
            && status.as_str() >= "400"
        {
            response.content.insert("application/json".to_owned(), error_body().into());
        }
    }
    for (_, failure) in possible.iter().filter(|(possible, _)| *possible) {
        let shared = Ref::from_response_name(failure.name);
        responses.entry(failure.status.to_owned()).or_insert(RefOr::Ref(shared));
    }
}

fn error_body() -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build()
}

fn add_shared(components: &mut Components) {
    let mut shapes = vec![(ErrorBody::name().into_owned(), ErrorBody::schema())];
    ErrorBody::schemas(&mut shapes);
    components.schemas.extend(shapes);
    let responses = FAILURES.iter().map(|failure| (failure.name.to_owned(), RefOr::T(response(failure))));
    components.responses.extend(responses);

    let header = ApiKeyValue::with_description(
        "Authorization",
        "`Nave KEY.SIGNATURE`: a node's, or a device's, public key and its signature over this very TLS connection. \
         docs/api.md tells what is signed.",
    );
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("nave_…")
        .description(Some("An API token, which acts for a person: `POST /nave/v1/tokens` makes one."))
        .build();
    let cookie = ApiKeyValue::with_description(
        cookie::NAME,
        "The session of a browser. What changes something must come from the hub's own pages.",
    );
    components.add_security_scheme(NODE_KEY, SecurityScheme::ApiKey(ApiKey::Header(header)));
    components.add_security_scheme(API_TOKEN, SecurityScheme::Http(bearer));
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
}

fn response(failure: &Failure) -> Response {
    let response = ResponseBuilder::new().description(failure.what).content("application/json", error_body());
    if failure.status == THROTTLED.status {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
        let wait = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait.")).build();
        return response.header("Retry-After", wait).build();
    }
    response.build()
}
