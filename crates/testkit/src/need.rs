//! Whether a test can run on this machine, and the rule that nothing is skipped by accident. What there is
//! to need stands in `table`.

mod table;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

pub use self::table::{
    NEEDS, Need, build_folder, find_program, node_packages, older_python, packages, postgres_programs, python,
};

/// Whether a test that needs `name` can run. Prints a `SKIP` line where the answer is no, and notes the
/// test's name in the file that `NAVE_TEST_SKIPPED` names.
///
/// # Panics
///
/// When the thing is missing and `NAVE_TEST_SKIP` does not name it, so that nothing is skipped by accident;
/// when something is to be skipped although `CI` is set; and when there is no such need.
pub fn need(name: &str) -> bool {
    let need = NEEDS.iter().find(|need| need.name == name).unwrap_or_else(|| {
        panic!("no need is called `{name}`: add it to NEEDS in crates/testkit/src/need/table.rs");
    });
    let skip = std::env::var("NAVE_TEST_SKIP").unwrap_or_default();
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    match decide(need.name, &skip, in_ci, || need.present()) {
        Ok(true) => true,
        Ok(false) => {
            note_skip(name);
            false
        }
        Err(why) => panic!("{why}"),
    }
}

/// The script of axe-core, where npm left it.
pub fn axe() -> Option<PathBuf> {
    let script = node_packages()?.join("node_modules/axe-core/axe.min.js");
    script.is_file().then_some(script)
}

fn decide(
    name: &str,
    skip: &str,
    in_ci: bool,
    present: impl FnOnce() -> Result<(), String>,
) -> Result<bool, String> {
    let skip: BTreeSet<&str> = skip.split(',').map(str::trim).collect();
    if skip.contains(name) {
        if in_ci {
            return Err(format!("NAVE_TEST_SKIP names `{name}`, but CI is set and there nothing is skipped"));
        }
        return Ok(false);
    }
    present().map(|()| true).map_err(|why| {
        format!(
            "this test needs `{name}`: {why}. Install it with `cargo xtask test --install`, \
             or leave such tests out with NAVE_TEST_SKIP={name}"
        )
    })
}

#[expect(clippy::print_stderr, reason = "a skipped test says so where the test runner shows it")]
fn note_skip(name: &str) {
    let test = std::env::var("NEXTEST_TEST_NAME")
        .ok()
        .or_else(|| std::thread::current().name().map(str::to_owned))
        .unwrap_or_else(|| "a test".to_owned());
    eprintln!("SKIP {test}: for want of {name}");
    if let Some(list) = std::env::var_os("NAVE_TEST_SKIPPED") {
        let line = format!("{test}\t{name}\n");
        let written = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&list)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        if let Err(why) = written {
            eprintln!("the skipped test could not be noted in {}: {why}", Path::new(&list).display());
        }
    }
}

#[cfg(test)]
mod tests;
