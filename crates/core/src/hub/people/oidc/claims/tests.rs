//! What a hub makes of a provider's claims.

use super::*;
use crate::api::Role;

fn table(more: &str) -> OidcTable {
    toml::from_str(&format!("issuer = \"https://id.example.org\"\nclient_id = \"nave\"\n{more}")).unwrap()
}

fn who(table: &OidcTable, claims: &str) -> Result<Who, OidcError> {
    table.who(&Claims::parse(claims.as_bytes()).unwrap())
}

fn rule(claim: &str, value: &str) -> String {
    format!("[[roles]]\nclaim = {claim:?}\nvalue = {value:?}\nrole = \"operator\"\n")
}

fn has_role(claim: &str, value: &str, claims: &str) -> bool {
    let claims = claims.replacen('{', r#"{"sub":"1","email":"ada@example.org","email_verified":true,"#, 1);
    match who(&table(&rule(claim, value)), &claims) {
        Ok(who) => {
            who.roles == MappedRoles::Exactly(vec![RoleHeld { role: Role::Operator, scope: "*".into() }])
        }
        Err(OidcError::NoRole) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_value_or_one_in_a_list_at_any_depth() {
    assert!(has_role("groups", "ops", r#"{"groups":"ops"}"#));
    assert!(has_role("groups", "ops", r#"{"groups":["lab","ops"]}"#));
    assert!(has_role("realm.roles", "ops", r#"{"realm":{"roles":["ops"]}}"#));
    assert!(has_role("https://example.org/groups", "ops", r#"{"https://example.org/groups":["ops"]}"#));
    assert!(has_role("https://example.org/a.b", "ops", r#"{"https://example.org/a":{"b":"ops"}}"#));
    assert!(has_role("level", "3", r#"{"level":3}"#));
    assert!(has_role("staff", "true", r#"{"staff":true}"#));
    for (claim, claims) in [
        ("groups", r#"{"groups":"operators"}"#),
        ("groups", r#"{"groups":"lab,ops"}"#),
        ("groups", r#"{"groups":{"ops":true}}"#),
        ("groups", r#"{"groups":[["ops"]]}"#),
        ("groups", r#"{"groups":null}"#),
        ("groups", r#"{"Groups":"ops"}"#),
        ("realm.roles", r#"{"realm":["roles"]}"#),
        ("realm.roles.0", r#"{"realm":{"roles":["ops"]}}"#),
    ] {
        assert!(!has_role(claim, "ops", claims), "{claim} in {claims}");
    }
}

#[test]
fn roles_without_rules_are_given_on_the_hub() {
    let ada = r#"{"sub":"1","email":"ada@example.org","email_verified":true}"#;
    assert_eq!(who(&table(""), ada).unwrap().roles, MappedRoles::FirstOne(None));
    let viewer = RoleHeld { role: Role::Viewer, scope: "*".to_owned() };
    let roles = who(&table("default_role = \"viewer\""), ada).unwrap().roles;
    assert_eq!(roles, MappedRoles::FirstOne(Some(viewer)));
    assert!(matches!(who(&table(&rule("groups", "ops")), ada), Err(OidcError::NoRole)));
    let twice = format!("{0}{0}", rule("sub", "1"));
    assert!(
        matches!(who(&table(&twice), ada).unwrap().roles, MappedRoles::Exactly(roles) if roles.len() == 1)
    );
}

#[test]
fn an_address_that_nobody_checked_is_not_believed() {
    let strict = table("");
    for claims in [
        r#"{"sub":"1","email":"ada@example.org"}"#,
        r#"{"sub":"1","email":"ada@example.org","email_verified":false}"#,
        r#"{"sub":"1","email":"ada@example.org","email_verified":"yes"}"#,
        r#"{"sub":"1","email_verified":true}"#,
        r#"{"sub":"1","email":"ada","email_verified":true}"#,
        r#"{"sub":"1","email":["ada@example.org"],"email_verified":true}"#,
    ] {
        assert!(matches!(who(&strict, claims), Err(OidcError::NoEmail)), "{claims}");
    }
    assert!(
        who(&strict, r#"{"sub":"1","email":"ada@example.org","email_verified":"true"}"#).unwrap().verified
    );
    let trusting = table("require_verified_email = false\nemail_claim = \"upn\"");
    assert!(who(&trusting, r#"{"sub":"1","upn":"ada@example.org"}"#).unwrap().verified);
    let denied = who(&trusting, r#"{"sub":"1","upn":"ada@example.org","email_verified":false}"#).unwrap();
    assert!(!denied.verified, "the provider says itself that it does not know");
}

#[test]
fn everybody_has_a_name() {
    let table = table("name = \"{given_name} {family_name}\"");
    let name = |claims: &str| {
        let claims = claims.replacen('{', r#"{"sub":"1","email":"ada@example.org","email_verified":true"#, 1);
        who(&table, &claims).unwrap().name
    };
    assert_eq!(name(r#"{,"given_name":"Ada","family_name":"Lovelace"}"#), "Ada Lovelace");
    assert_eq!(name(r#"{,"preferred_username":"ada"}"#), "ada");
    assert_eq!(name("{}"), "ada@example.org");
    assert_eq!(name(r#"{,"given_name":"A\u0000d\u001ba\n","family_name":"L"}"#), "Ada L");
    assert_eq!(name(&format!(r#"{{,"given_name":"{}"}}"#, "ä".repeat(300))).chars().count(), LONGEST_NAME);
}

#[test]
fn without_a_subject_it_is_nobody() {
    for subject in ["null", "\"\"", "1", &format!("{:?}", "x".repeat(256))] {
        let claims = format!(r#"{{"sub":{subject},"email":"ada@example.org","email_verified":true}}"#);
        assert!(matches!(who(&table(""), &claims), Err(OidcError::NotUnderstood(_))), "{subject}");
    }
}
