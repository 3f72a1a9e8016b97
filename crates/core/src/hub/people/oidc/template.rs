//! How a person's name is put together from what a provider says: `{given_name} {family_name}`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::claims::{ClaimPath, Claims};

/// The longest template, in bytes.
const LONGEST: usize = 500;

/// A text with claims in braces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Claim(ClaimPath),
}

/// A text that is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no template of a name: write claims in braces, as in \"{{given_name}} {{family_name}}\""
)]
pub struct NotATemplate {
    text: String,
}

impl NameTemplate {
    /// The text with the claims in their places; a claim that is missing leaves no gap.
    pub fn fill(&self, claims: &Claims) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Claim(path) => filled.push_str(&claims.text(path).unwrap_or_default()),
            }
        }
        filled.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The claims that it wants.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimPath> {
        self.0.iter().filter_map(|part| match part {
            Part::Claim(path) => Some(path),
            Part::Text(_) => None,
        })
    }
}

impl Default for NameTemplate {
    fn default() -> Self {
        Self(vec![Part::Claim(ClaimPath::known("name"))])
    }
}

impl FromStr for NameTemplate {
    type Err = NotATemplate;

    fn from_str(text: &str) -> Result<Self, NotATemplate> {
        let bad = || NotATemplate { text: text.chars().take(LONGEST).collect() };
        if text.len() > LONGEST {
            return Err(bad());
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (claim, after) = after.split_once('}').ok_or_else(bad)?;
            if before.contains('}') {
                return Err(bad());
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Claim(claim.parse().map_err(|_| bad())?));
            rest = after;
        }
        if rest.contains('}') || parts.is_empty() {
            return Err(bad());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Claim(path) => write!(f, "{{{path}}}"),
        })
    }
}

impl TryFrom<String> for NameTemplate {
    type Error = NotATemplate;

    fn try_from(text: String) -> Result<Self, NotATemplate> {
        text.parse()
    }
}

impl From<NameTemplate> for String {
    fn from(template: NameTemplate) -> Self {
        template.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, claims: &str) -> String {
        template.parse::<NameTemplate>().unwrap().fill(&Claims::parse(claims.as_bytes()).unwrap())
    }

    #[test]
    fn claims_stand_in_their_places() {
        let ada = r#"{"given_name":"Ada","family_name":"Lovelace","unit":{"name":"Lab 3"}}"#;
        assert_eq!(filled("{given_name} {family_name}", ada), "Ada Lovelace");
        assert_eq!(filled("{family_name}, {given_name} ({unit.name})", ada), "Lovelace, Ada (Lab 3)");
        assert_eq!(filled("{given_name} {middle_name} {family_name}", ada), "Ada Lovelace");
        assert_eq!(filled("{name}", ada), "");
        assert_eq!(filled("{given_name}", r#"{"given_name":["Ada"]}"#), "", "a list is no text");
        assert_eq!(
            filled("{given_name}", r#"{"given_name":"{family_name}"}"#),
            "{family_name}",
            "no second pass"
        );
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for good in ["{name}", "{given_name} {family_name}", "Dr. {name}!"] {
            assert_eq!(good.parse::<NameTemplate>().unwrap().to_string(), good);
        }
        for bad in ["", "name", "{", "}", "{}", "{name", "name}", "{name}}", "{{name}", "{ name }", "}{name}"]
        {
            assert!(bad.parse::<NameTemplate>().is_err(), "{bad}");
        }
        assert!("{a}".repeat(400).parse::<NameTemplate>().is_err());
    }
}
