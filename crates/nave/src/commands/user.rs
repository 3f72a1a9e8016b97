//! `nave user` and `nave token`: people, and what acts for them.

use anyhow::bail;
use http::Method;
use nave_core::api;
use serde_json::json;

use super::Context;
use super::node::moment;
use crate::cli::{RoleText, Token, TokenArgs, User};
use crate::client::segment;

pub async fn run(context: &Context<'_>, command: User) -> anyhow::Result<()> {
    let (printer, hub) = (context.printer, context.hub().await?);
    let person = |who: &str| format!("/nave/v1/people/{}", segment(who));
    match command {
        User::Setup => {
            let made: api::SetupLink = hub.post("/nave/v1/setup-link", &json!({})).await?;
            match made.link {
                Some(link) if printer.is_json() => printer.value(&json!({ "link": link })),
                Some(link) => {
                    printer.data(link);
                    printer.talk(
                        "nave: whoever opens it becomes the first administrator; it is good once, for a day",
                    );
                    Ok(())
                }
                None => bail!("this hub has an administrator: invite people with `nave user add`"),
            }
        }
        User::Add { email, name, roles } => {
            let new = api::NewPerson { email, name, roles: held(roles) };
            told(context, &hub.post("/nave/v1/people", &new).await?)
        }
        User::List => {
            let people: Vec<api::Person> = hub.get("/nave/v1/people").await?;
            let columns = ["NAME", "ADDRESS", "STATE", "ROLES", "SECOND FACTOR", "LAST SIGN-IN"];
            printer.rows(&people, &columns, row, "nobody yet: `nave user setup` prints the way in")
        }
        User::Show { who } => {
            let shown: api::Person = hub.get(&person(&who)).await?;
            if printer.is_json() {
                return printer.value(&shown);
            }
            let cells = row(&shown);
            let titles = ["name", "address", "state", "roles", "2nd factor", "signed in"];
            for (title, value) in titles.into_iter().zip(&cells) {
                printer.data(format!("{title:<11} {value}").trim_end());
            }
            let grants: Vec<api::Grant> = hub.get(&format!("{}/grants", person(&who))).await?;
            let grants: Vec<String> =
                grants.iter().map(|grant| format!("{} {}", grant.action, grant.scope)).collect();
            printer.data(format!("{:<11} {}", "may", grants.join(", ")).trim_end());
            Ok(())
        }
        User::Roles { who, roles } => {
            hub.act(Method::PATCH, &person(&who), &json!({ "roles": held(roles) })).await?;
            printer.talk("nave: done");
            Ok(())
        }
        User::Grant { who, action, scope, remove } => {
            let request = api::GrantRequest { action, scope };
            let method = if remove { Method::DELETE } else { Method::POST };
            hub.act(method, &format!("{}/grants", person(&who)), &request).await?;
            let verb = if remove { "may no longer" } else { "may now" };
            printer.talk(format!("nave: {who} {verb} {} {}", request.action, request.scope));
            Ok(())
        }
        User::Disable { who } => act(context, &person(&who), "disable", &format!("{who} is disabled")).await,
        User::Enable { who } => act(context, &person(&who), "enable", &format!("{who} may sign in")).await,
        User::ResetPassword { who } => {
            told(context, &hub.post(&format!("{}/reset-password", person(&who)), &json!({})).await?)
        }
        User::ResetMfa { who } => {
            let done = format!("{who} sets up a new second factor at the next sign-in");
            act(context, &person(&who), "reset-second-factor", &done).await
        }
        User::Requests => {
            let requests: Vec<api::AccessRequest> = hub.get("/nave/v1/access-requests").await?;
            let cells = |request: &api::AccessRequest| {
                vec![
                    request.id.clone(),
                    moment(request.created_at),
                    request.name.clone(),
                    request.email.clone(),
                    request.message.clone(),
                ]
            };
            printer.rows(&requests, &["ID", "WHEN", "NAME", "ADDRESS", "WHY"], cells, "nobody asks")
        }
        User::Accept { id, roles } => {
            let accept = api::AcceptRequest { roles: held(roles) };
            let path = format!("/nave/v1/access-requests/{}/accept", segment(&id));
            told(context, &hub.post(&path, &accept).await?)
        }
        User::Decline { id } => {
            let path = format!("/nave/v1/access-requests/{}", segment(&id));
            act(context, &path, "decline", "declined").await
        }
    }
}

pub async fn token(context: &Context<'_>, args: TokenArgs) -> anyhow::Result<()> {
    let (printer, hub) = (context.printer, context.hub().await?);
    if let Some(program) = args.program {
        anyhow::ensure!(args.command.is_none(), "--for prints a token, and takes no other command");
        let made: api::IdToken = hub.post("/nave/v1/id-tokens", &api::IdTokenRequest { program }).await?;
        // Whoever asked for it reads its first line and no talk.
        if printer.is_json() {
            return printer.value(&made);
        }
        printer.data(&made.token);
        return Ok(());
    }
    let Some(command) = args.command else { return Ok(()) };
    match command {
        Token::Create { name, role, scope, ttl } => {
            let RoleText(held) = role.parse().map_err(anyhow::Error::msg)?;
            let new = api::NewApiToken { name, role: held.role, scope, ttl_seconds: ttl.0.as_secs() };
            let made: api::ApiTokenSecret = hub.post("/nave/v1/tokens", &new).await?;
            if printer.is_json() {
                return printer.value(&made);
            }
            printer.data(&made.secret);
            printer.talk(format!(
                "nave: this is shown only once; send it as Authorization: Bearer. It is good until {}",
                moment(made.token.expires_at)
            ));
            Ok(())
        }
        Token::List => {
            let tokens: Vec<api::ApiToken> = hub.get("/nave/v1/tokens").await?;
            let cells = |token: &api::ApiToken| {
                vec![
                    token.id.clone(),
                    token.name.clone(),
                    token.role.word().to_owned(),
                    token.scope.clone(),
                    moment(token.expires_at),
                    token.last_used_at.map(moment).unwrap_or_default(),
                ]
            };
            let columns = ["ID", "NAME", "ROLE", "SCOPE", "UNTIL", "LAST USED"];
            printer.rows(&tokens, &columns, cells, "no tokens: `nave token create NAME` makes one")
        }
        Token::Revoke { id } => {
            hub.act(Method::DELETE, &format!("/nave/v1/tokens/{}", segment(&id)), &json!({})).await?;
            printer.talk("nave: the token has ended");
            Ok(())
        }
    }
}

async fn act(context: &Context<'_>, path: &str, verb: &str, done: &str) -> anyhow::Result<()> {
    context.hub().await?.act(Method::POST, &format!("{path}/{verb}"), &json!({})).await?;
    context.printer.talk(format!("nave: {done}"));
    Ok(())
}

/// A new link: to paste, or on its way by mail.
fn told(context: &Context<'_>, made: &api::PersonLink) -> anyhow::Result<()> {
    let printer = context.printer;
    if printer.is_json() {
        return printer.value(made);
    }
    match &made.link {
        Some(link) => {
            printer.data(link);
            printer.talk(format!(
                "nave: give this link to {}; it is good once, until {}",
                made.person.name,
                moment(made.expires_at)
            ));
        }
        None => printer.talk(format!("nave: {} gets a link by mail", made.person.email)),
    }
    Ok(())
}

fn held(roles: Vec<RoleText>) -> Vec<api::RoleHeld> {
    roles.into_iter().map(|RoleText(held)| held).collect()
}

fn row(person: &api::Person) -> Vec<String> {
    let roles: Vec<String> = person
        .roles
        .iter()
        .map(|held| match held.scope.as_str() {
            "*" => held.role.word().to_owned(),
            scope => format!("{}@{scope}", held.role.word()),
        })
        .collect();
    let status = match person.status {
        api::PersonStatus::Invited => "invited",
        api::PersonStatus::Active => "active",
        api::PersonStatus::Disabled => "disabled",
    };
    vec![
        person.name.clone(),
        person.email.clone(),
        status.to_owned(),
        roles.join(", "),
        if person.second_factor { "yes" } else { "no" }.to_owned(),
        person.signed_in_at.map(moment).unwrap_or_default(),
    ]
}
