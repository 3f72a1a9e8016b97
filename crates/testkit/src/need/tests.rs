//! The rules of skipping, without a look at this machine.

use super::{NEEDS, decide};

#[test]
fn what_is_there_is_used() {
    assert_eq!(decide("curl", "", false, || Ok(())), Ok(true));
    assert_eq!(decide("curl", "postgres,socat", true, || Ok(())), Ok(true));
}

#[test]
fn what_is_missing_fails_unless_it_is_named() {
    let missing = || Err("there is no `curl` on the path".to_owned());
    let why = decide("curl", "socat", false, missing).unwrap_err();
    assert_eq!(
        why,
        "this test needs `curl`: there is no `curl` on the path. Install it with \
         `cargo xtask test --install`, or leave such tests out with NAVE_TEST_SKIP=curl"
    );
    assert_eq!(decide("curl", "socat, curl", false, missing), Ok(false));
}

#[test]
fn a_part_of_a_name_skips_nothing() {
    assert_eq!(decide("curl", "curly", false, || Ok(())), Ok(true));
}

#[test]
fn in_ci_nothing_is_skipped() {
    let why = decide("netns", "netns", true, || Ok(())).unwrap_err();
    assert_eq!(why, "NAVE_TEST_SKIP names `netns`, but CI is set and there nothing is skipped");
}

#[test]
fn names_are_unique_and_can_stand_in_a_list() {
    for (at, need) in NEEDS.iter().enumerate() {
        assert!(!need.name.contains([',', ' ']), "{}", need.name);
        assert!(NEEDS[at + 1..].iter().all(|other| other.name != need.name), "{} twice", need.name);
        assert!(
            !need.apt.is_empty() || ["axe", "package"].contains(&need.name),
            "{}: nothing to install",
            need.name
        );
    }
}
