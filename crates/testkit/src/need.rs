//! What a test needs from the machine. A missing tool fails the test, unless whoever runs the tests said that such
//! tests are to be skipped.

use std::path::PathBuf;

/// What tests may need, by the names that `NAVE_TEST_SKIP` uses, with what provides it.
pub const NEEDS: [(&str, &str); 7] = [
    ("netns", "root, and the packages iproute2 and nftables"),
    ("postgres", "the package postgresql"),
    ("mount", "root, to mount a file system that is small or read-only"),
    ("openssl", "the package openssl"),
    ("curl", "the package curl"),
    ("python", "python3"),
    ("systemd", "root, and the packages systemd-container and mmdebstrap"),
];

/// Whether a test that needs this can run. False only if `NAVE_TEST_SKIP` names it, which is then said.
pub fn need(what: &str) -> bool {
    let skip = std::env::var("NAVE_TEST_SKIP").unwrap_or_default();
    let skipped = skip.split(',').any(|name| name.trim() == what);
    if skipped {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        #[expect(clippy::print_stderr, reason = "the one way to tell whoever runs the tests")]
        {
            eprintln!("SKIPPED {test}: it needs {what}");
        }
    }
    !skipped
}

/// Where a program is, if it is installed.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(extra).map(|folder| folder.join(name)).find(|path| path.is_file())
}
