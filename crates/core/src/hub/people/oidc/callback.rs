//! What a provider sends back through the browser: the query of the callback's address (RFC 6749, section 4.1.2, and
//! RFC 9207). Whether anybody waits for it is known elsewhere.

use secrecy::SecretString;
use url::form_urlencoded;

/// The longest query that is read, in bytes.
const LONGEST_QUERY: usize = 8 << 10;
/// The longest code, in bytes.
const LONGEST_CODE: usize = 4 << 10;
/// The longest of the other fields, in bytes.
const LONGEST_FIELD: usize = 1 << 10;

/// A provider's answer.
#[derive(Clone, Debug)]
pub struct Callback {
    /// Which sign-in it belongs to.
    pub state: SecretString,
    /// Which provider answers, where it says so.
    pub issuer: Option<String>,
    /// What it answers.
    pub answer: Answer,
}

/// What a provider answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A code to fetch tokens with.
    Code(SecretString),
    /// A refusal.
    Refusal {
        /// The reason, as the standards call it.
        error: String,
        /// The provider's own words. For the log only: anybody can make a browser send them.
        description: String,
    },
}

/// A query that is no answer of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACallback {
    /// It is too long.
    #[error("the provider's answer is too long: start the sign-in again")]
    TooLong,
    /// A field stands there twice.
    #[error("the provider's answer has the field {0} twice: start the sign-in again")]
    Repeated(&'static str),
    /// A field is not there.
    #[error("the provider's answer has no field {0}: start the sign-in again")]
    Missing(&'static str),
}

impl Callback {
    /// Reads a query, without its question mark. Fields that are not known are left alone.
    pub fn parse(query: &str) -> Result<Self, NotACallback> {
        if query.len() > LONGEST_QUERY {
            return Err(NotACallback::TooLong);
        }
        let [mut state, mut code, mut error, mut description, mut issuer] = [const { None }; 5];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (name, field, longest) = match &*name {
                "state" => ("state", &mut state, LONGEST_FIELD),
                "code" => ("code", &mut code, LONGEST_CODE),
                "error" => ("error", &mut error, LONGEST_FIELD),
                "error_description" => ("error_description", &mut description, LONGEST_FIELD),
                "iss" => ("iss", &mut issuer, LONGEST_FIELD),
                _ => continue,
            };
            if value.len() > longest {
                return Err(NotACallback::TooLong);
            }
            if field.replace(value.into_owned()).is_some() {
                return Err(NotACallback::Repeated(name));
            }
        }
        let state = state.filter(|state| !state.is_empty()).ok_or(NotACallback::Missing("state"))?;
        let answer = match (code, error) {
            (_, Some(error)) => Answer::Refusal { error, description: description.unwrap_or_default() },
            (Some(code), None) if !code.is_empty() => Answer::Code(code.into()),
            _ => return Err(NotACallback::Missing("code")),
        };
        Ok(Self { state: state.into(), issuer, answer })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn fails(query: &str) -> NotACallback {
        Callback::parse(query).unwrap_err()
    }

    #[test]
    fn a_code_and_what_belongs_to_it() {
        let query = "code=a%2Fb+c&state=s&iss=https%3A%2F%2Fid.example.org&session_state=x&session_state=y";
        let callback = Callback::parse(query).unwrap();
        assert_eq!(callback.state.expose_secret(), "s");
        assert_eq!(callback.issuer.as_deref(), Some("https://id.example.org"));
        assert!(matches!(callback.answer, Answer::Code(code) if code.expose_secret() == "a/b c"));
        assert!(!format!("{:?}", Callback::parse(query).unwrap()).contains("a/b"), "a code is a secret");
    }

    #[test]
    fn a_refusal_counts_whatever_stands_beside_it() {
        let callback = Callback::parse("state=s&code=c&error=access_denied&error_description=no").unwrap();
        let Answer::Refusal { error, description } = callback.answer else { panic!("a refusal") };
        assert_eq!((error.as_str(), description.as_str()), ("access_denied", "no"));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert_eq!(fails(""), NotACallback::Missing("state"));
        assert_eq!(fails("code=c"), NotACallback::Missing("state"));
        assert_eq!(fails("code=c&state="), NotACallback::Missing("state"));
        assert_eq!(fails("state=s&code="), NotACallback::Missing("code"));
        assert_eq!(fails("state=s&code=c&code=d"), NotACallback::Repeated("code"));
        assert_eq!(fails("state=s&state=s&code=c"), NotACallback::Repeated("state"));
        assert_eq!(fails(&format!("state=s&code={}", "c".repeat(LONGEST_CODE + 1))), NotACallback::TooLong);
        assert_eq!(fails(&"x".repeat(LONGEST_QUERY + 1)), NotACallback::TooLong);
    }
}
