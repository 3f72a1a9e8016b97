//! The authorization request (OpenID Connect Core 1.0, section 3.1.2; RFC 7636): what a program asks for by the browser of
//! whoever it would act for, and what that person says to it.
//!
//! A link alone signs nobody in: the program must be waiting for the answer at this moment, and its person agrees to
//! that on a page which says from where.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use url::form_urlencoded;

use super::super::secret::Secret;
use super::super::store::programs::{self as table, Kind, SignInRow};
use super::sign_ins::about;
use super::{Program, program, redirect_uri};
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::fleet::Fleet;
use crate::hub::mail::Letter;
use crate::hub::op::{Op, Via};
use crate::id::{PersonId, SignInId};

/// For how long a code is good: the program waits for it.
const CODE: std::time::Duration = std::time::Duration::from_mins(1);
/// The longest text of a program's own that is carried along.
const LONGEST: usize = 512;

/// What a program asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which program.
    pub program: Program,
    /// From where it asks.
    pub source: IpAddr,
    state: String,
    nonce: String,
    challenge: String,
}

/// Why a request is not put to anybody.
#[derive(Debug)]
pub enum Refusal {
    /// There is nobody to send back to: it is told here.
    Here(Error),
    /// The program is told, at this address.
    Back(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

/// The most parameters of a request.
const MOST: usize = 64;

/// What stands in a request, once each. Nothing counts where there is more than anybody needs: behind what is read, something
/// could stand a second time.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(query: &str) -> Self {
        let all: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().take(MOST + 1).collect();
        Self(if all.len() > MOST { Vec::new() } else { all })
    }

    /// A parameter's value; nothing where it stands twice, since nobody knows which was meant.
    fn one(&self, name: &str) -> &str {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (Some(value), None) => value,
            _ => "",
        }
    }
}

/// What is wrong with the rest of a request, once it is known who asks: the error's code, and words.
fn problem(parameters: &Parameters) -> Option<(&'static str, &'static str)> {
    let one = |name| parameters.one(name);
    let fits = |name| one(name).len() <= LONGEST && !one(name).contains('\0');
    let challenge = URL_SAFE_NO_PAD.decode(one("code_challenge"));
    if one("response_type") != "code" {
        return Some(("unsupported_response_type", "only response_type=code is known here"));
    }
    if !one("request").is_empty() || !one("request_uri").is_empty() {
        return Some(("request_not_supported", "a request is written into the address here"));
    }
    if !matches!(one("response_mode"), "" | "query") {
        return Some(("invalid_request", "only response_mode=query is known here"));
    }
    if !one("scope").split(' ').any(|scope| scope == "openid") {
        return Some(("invalid_scope", "the scope must hold openid"));
    }
    if one("code_challenge_method") != "S256" || !challenge.is_ok_and(|hash| hash.len() == 32) {
        return Some(("invalid_request", "PKCE is required: code_challenge with code_challenge_method=S256"));
    }
    if !fits("nonce") {
        return Some(("invalid_request", "the nonce is too long"));
    }
    if one("prompt").split(' ').any(|prompt| prompt == "none") {
        return Some(("interaction_required", "nobody is signed in here without being asked"));
    }
    None
}

/// What is wrong with a request, whoever asks: the error's code.
pub fn fault(query: &str) -> Option<&'static str> {
    problem(&Parameters::read(query)).map(|(code, _)| code)
}

/// Reads a request, and finds out who waits for the answer.
fn read(hub: &Hub, query: &str) -> Result<Asked, Refusal> {
    let parameters = Parameters::read(query);
    let (program, fleet) = known(hub, &parameters)?;
    let state = parameters.one("state").to_owned();
    let source = fleet.waits_for(&state).ok_or_else(|| {
        Error::Conflict(format!(
            "no {} waits for this sign-in any more: begin it again on the machine that you want to use it from, and open the address that it prints then",
            program.name
        ))
    })?;
    if let Some((code, words)) = problem(&parameters) {
        return Err(Refusal::Back(back(
            hub,
            program,
            &state,
            &[("error", code), ("error_description", words)],
        )?));
    }
    let owned = |name| parameters.one(name).to_owned();
    Ok(Asked { program, source, state, nonce: owned("nonce"), challenge: owned("code_challenge") })
}

/// The program that a request names, if the browser would come back to where that one waits.
fn known<'a>(hub: &'a Hub, parameters: &Parameters) -> Result<(Program, &'a dyn Fleet)> {
    let id = parameters.one("client_id");
    let (program, fleet) = program(hub, id).ok_or_else(|| {
        Error::invalid(
            "client_id",
            "this hub lets nobody sign in to such a program with an account of its own",
        )
    })?;
    let callback = redirect_uri(hub, program)?;
    if parameters.one("redirect_uri") != callback {
        let address = callback.strip_suffix(program.callback).unwrap_or(&callback);
        return Err(Error::invalid(
            "redirect_uri",
            format!("must be {callback}: name the hub as {address} when you sign in to {}", program.name),
        ));
    }
    Ok((program, fleet))
}

/// Where the browser goes with an answer.
fn back(hub: &Hub, program: Program, state: &str, answer: &[(&str, &str)]) -> Result<String> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(answer).append_pair("state", state);
    Ok(format!("{}?{}", redirect_uri(hub, program)?, query.finish()))
}

/// Only somebody in front of a browser agrees: what a token or a device may do must not last longer than they.
fn browsing(op: &Op) -> Result<PersonId> {
    let me = access::require_person(op)?;
    match me.via {
        Via::Session(_) => Ok(me.id),
        Via::Token(_) | Via::Device(_) | Via::Program(_) => {
            Err(Error::Forbidden("a program is let in from the browser, signed in".to_owned()))
        }
    }
}

/// What a person decides about.
pub fn look(op: &Op, hub: &Hub, query: &str) -> Result<Asked, Refusal> {
    browsing(op)?;
    read(hub, query)
}

/// Lets the program act for oneself; where the browser goes with the code.
pub async fn agree(op: &Op, hub: &Hub, query: &str) -> Result<String, Refusal> {
    let me = browsing(op)?;
    let asked = read(hub, query)?;
    let now = op.clock.now();
    let row = SignInRow {
        id: SignInId::new(),
        person: me,
        program: asked.program.id.to_owned(),
        address: asked.source.to_string(),
        nonce: asked.nonce,
        challenge: asked.challenge,
        created_at: now,
        last_used_at: now,
    };
    let code = Secret::generate(&hub.random);
    let mut act = hub.store.begin().await?;
    table::insert(&mut act, &row).await?;
    table::add_secret(&mut act, row.id, Kind::Code, &code.hash(), now + CODE).await?;
    let detail = json!({ "from": row.address });
    hub.record(&mut act, op, about("program.signed_in", &row, asked.program.name, detail)).await?;
    let owner = super::super::find(act.connection(), &me.to_string()).await?;
    let letter = Letter::NewDevice { device: asked.program.name, at: now, source: Some(asked.source) };
    super::super::write_to(&mut act, op, hub, &owner.email, &letter).await?;
    act.commit().await?;
    Ok(back(hub, asked.program, &asked.state, &[("code", code.reveal().as_str())])?)
}

/// Does not let the program act; where the browser goes to tell it.
pub fn decline(op: &Op, hub: &Hub, query: &str) -> Result<String, Refusal> {
    browsing(op)?;
    let asked = read(hub, query)?;
    let answer = [("error", "access_denied"), ("error_description", "it was declined in the browser")];
    Ok(back(hub, asked.program, &asked.state, &answer)?)
}
