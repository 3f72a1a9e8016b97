//! A command of the shell that prints ID tokens: `${issuer}` and `${client_id}` in it stand for what the hub says.

use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::TokenError;
use crate::node::dialect::connection::HubClient;

/// How long the command may take. The hub waits for 30 s.
const PATIENCE: Duration = Duration::from_mins(1);

/// A command that prints ID tokens.
pub struct TokenCommand {
    hub: HubClient,
    template: String,
    filled: OnceCell<String>,
}

impl TokenCommand {
    pub(super) fn new(hub: HubClient, template: String) -> Self {
        Self { hub, template, filled: OnceCell::new() }
    }

    pub(super) async fn id_token(&self) -> Result<SecretString, TokenError> {
        let command = self.filled.get_or_try_init(|| self.fill()).await?;
        let failed = |problem: String| TokenError::Command(format!("'{command}' {problem}"));
        let run = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, run)
            .await
            .map_err(|_| failed(format!("printed no token within {} s", PATIENCE.as_secs())))?
            .map_err(|error| failed(format!("could not be started: {error}")))?;
        if !output.status.success() {
            let status =
                output.status.code().map_or_else(|| output.status.to_string(), |code| code.to_string());
            return Err(failed(format!("exited with {status}")));
        }
        let text = String::from_utf8(output.stdout).map_err(|_| failed("did not print a text".to_owned()))?;
        Ok(text.trim_end().into())
    }

    async fn fill(&self) -> Result<String, TokenError> {
        let info = self.hub.auth_info().await?;
        let said = |name: &str| info.get(name).and_then(Value::as_str);
        let (Some(issuer), Some(client_id)) = (said("issuer"), said("client_id")) else {
            let hub = self.hub.address();
            return Err(TokenError::Command(format!("the hub at {hub} does not say where one signs in")));
        };
        // They become a part of a command, and the hub must not be able to run one here.
        for (name, value) in [("issuer", issuer), ("client_id", client_id)] {
            if !value.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:/@%+=,".contains(c)) {
                return Err(TokenError::Command(format!(
                    "the hub's {name} {value:?} has characters that mean something to a shell: it is not put into the command"
                )));
            }
        }
        Ok(fill(&self.template, |name| match name {
            "issuer" => Some(issuer),
            "client_id" => Some(client_id),
            _ => None,
        }))
    }
}

/// Puts values in, as Python's `Template.safe_substitute` does: `$name` and `${name}` stand for a value where there is
/// one, `$$` for a dollar, and everything else for itself.
fn fill<'a>(template: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (braced, inner) = after.strip_prefix('{').map_or((false, after), |inner| (true, inner));
        let length = inner
            .char_indices()
            .find(|(at, c)| !(c.is_ascii_alphabetic() || *c == '_' || (*at > 0 && c.is_ascii_digit())))
            .map_or(inner.len(), |(at, _)| at);
        let (name, tail) = inner.split_at(length);
        let tail = if braced { tail.strip_prefix('}') } else { Some(tail) };
        if let Some(doubled) = after.strip_prefix('$') {
            out.push('$');
            rest = doubled;
        } else if let (Some(value), Some(tail)) = (value(name), tail) {
            out.push_str(value);
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_as_python_does() {
        let filled = |template| fill(template, |name| (name == "issuer").then_some("https://id"));
        for (template, expected) in [
            ("get ${issuer} $issuer", "get https://id https://id"),
            ("$issuer_x ${issuer", "$issuer_x ${issuer"),
            ("a$$b $(date) ${HOME:-x} $", "a$b $(date) ${HOME:-x} $"),
            ("é$issuer.", "éhttps://id."),
        ] {
            assert_eq!(filled(template), expected, "{template}");
        }
    }
}
