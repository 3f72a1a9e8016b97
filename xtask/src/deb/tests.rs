//! What is certain about the package before anything is built.

use super::{FILES, SCRIPTS, architecture, control, newest_glibc, put, size};
use crate::cargo::root;

#[test]
fn every_file_of_the_package_is_in_the_repository() {
    for (from, _) in FILES {
        assert!(root().join(from).is_file(), "{from}");
    }
    for script in SCRIPTS {
        assert!(root().join("deploy/debian").join(script).is_file(), "{script}");
    }
}

#[test]
fn the_control_file_has_what_dpkg_demands() {
    let text = control("0.1.0", "amd64", "One hub.", "libc6 (>= 2.34)", 2049);
    assert!(text.starts_with("Package: nave\nVersion: 0.1.0\nArchitecture: amd64\n"), "{text}");
    assert!(text.contains("\nDepends: libc6 (>= 2.34)\n"), "{text}");
    assert!(text.contains("\nInstalled-Size: 3\nDescription: One hub\n Machines"), "{text}");
    assert!(text.lines().all(|line| line.starts_with(' ') || line.contains(": ")), "{text}");
    assert!(text.ends_with('\n'));
}

#[test]
fn the_newest_c_library_is_found() {
    let symbols = "0 DF *UND* 0 (GLIBC_2.2.5) read\n0 DF *UND* 0 (GLIBC_2.34) a\n0 DF *UND* 0 (GLIBC_2.4)  b\n0 w D *UND* 0 _Jv";
    assert_eq!(newest_glibc(symbols).as_deref(), Some("2.34"));
    assert_eq!(newest_glibc("0 w D *UND* 0 _Jv"), None);
}

#[test]
fn processors_have_debian_names() -> anyhow::Result<()> {
    assert_eq!(architecture("x86_64")?, "amd64");
    assert_eq!(architecture("aarch64")?, "arm64");
    assert!(architecture("s390x").is_err());
    Ok(())
}

#[test]
fn a_tree_has_the_size_of_its_files() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    put(tree.path(), "usr/bin/nave", b"12345", 0o755)?;
    put(tree.path(), "etc/nave/hub.toml", b"123", 0o644)?;
    assert_eq!(size(tree.path())?, 8);
    Ok(())
}
