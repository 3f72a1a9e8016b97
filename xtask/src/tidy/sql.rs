//! Where SQL stands: in modules named `store` and in migrations, and each table is written by one crate.

use std::collections::{BTreeMap, BTreeSet};

use super::{File, Finding, source};

/// How a statement begins, in the capitals that this project writes SQL in.
const OPENINGS: [&str; 10] = [
    "SELECT ",
    "INSERT INTO ",
    "UPDATE ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "ALTER TABLE ",
    "DROP TABLE ",
    "WITH RECURSIVE ",
    "PRAGMA ",
    "SET LOCAL ",
];
/// Calls that take SQL, whatever they are given.
const CALLS: [&str; 6] =
    ["sqlx::query", "sqlx::raw_sql", "query_as(", "query_scalar(", "query_as::<", "query_scalar::<"];
/// What stands before the name of a table that is made or written.
const WRITES: [&str; 5] =
    ["INSERT INTO ", "DELETE FROM ", "UPDATE ", "CREATE TABLE IF NOT EXISTS ", "CREATE TABLE "];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut writers: BTreeMap<String, BTreeMap<&str, &File>> = BTreeMap::new();
    for file in files {
        let Some(crate_folder) = file.crate_folder() else { continue };
        let mut written = BTreeSet::new();
        if file.is_rust() && !file.is_test() {
            let source = source::read(production(&file.text));
            if !in_store(&file.path) {
                findings.extend(strays(file, &source));
            }
            written.extend(source.strings.iter().flat_map(|(_, text)| tables_written(text)));
        } else if file.has_extension("sql") {
            written.extend(tables_written(&file.text));
        }
        for table in written {
            writers.entry(table).or_default().entry(crate_folder).or_insert(file);
        }
    }
    for (table, crates) in writers {
        if crates.len() > 1 {
            let names = crates.keys().copied().collect::<Vec<_>>().join(", ");
            let what = format!("table `{table}` is made or written by more than one crate: {names}");
            findings.extend(crates.values().map(|file| file.finding(0, what.clone())));
        }
    }
    findings
}

/// A file without the tests at its end, which may say what they like.
fn production(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod ").map_or(text, |end| &text[..end])
}

fn in_store(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "store" | "store.rs"))
}

fn strays(file: &File, source: &source::Source) -> Vec<Finding> {
    let what = "SQL stands only in modules named `store`";
    let in_code = source.code.lines().enumerate();
    let calls = in_code.filter(|(_, line)| CALLS.iter().any(|call| line.contains(call)));
    let statements = source.strings.iter().filter(|(_, text)| is_statement(text));
    let lines: BTreeSet<usize> =
        calls.map(|(at, _)| at + 1).chain(statements.map(|(line, _)| *line)).collect();
    lines.into_iter().map(|line| file.finding(line, what)).collect()
}

fn is_statement(text: &str) -> bool {
    let words = words(text);
    OPENINGS.iter().any(|opening| words.starts_with(opening))
}

/// The tables that a text of SQL makes or writes; a name that is put in later is not among them.
fn tables_written(text: &str) -> Vec<String> {
    let words = words(text);
    let mut tables = Vec::new();
    for write in WRITES {
        for (at, _) in words.match_indices(write) {
            // `FOR UPDATE OF` locks and `DO UPDATE SET` names no table.
            let before = words[..at].trim_end();
            if write == "UPDATE " && (before.ends_with(" DO") || before.ends_with("FOR")) {
                continue;
            }
            let name = &words[at + write.len()..];
            let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
            let name = &name[..end];
            if !name.is_empty() && name == name.to_lowercase() {
                tables.push(name.to_owned());
            }
        }
    }
    tables
}

/// The text with single spaces, and those that a string literal continues on the next line.
fn words(text: &str) -> String {
    let text = text.replace("\\\n", " ").replace("\\n", " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::{File, file};
    use super::{check, tables_written};

    fn told(files: &[File]) -> Vec<String> {
        check(files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sql_outside_a_store_is_found() {
        let stray = "fn f() {\n    run(\"SELECT name FROM nodes\");\n}\n";
        assert_eq!(
            told(&[file("crates/core/src/hub/node.rs", stray)]),
            ["crates/core/src/hub/node.rs:2: SQL stands only in modules named `store`"]
        );
        assert!(told(&[file("crates/core/src/hub/store/node.rs", stray)]).is_empty());
        assert!(told(&[file("crates/boards/src/hub/store.rs", stray)]).is_empty());
        assert!(told(&[file("crates/core/tests/it/node.rs", stray)]).is_empty());
        assert!(told(&[file("crates/testkit/src/fleet.rs", stray)]).is_empty());
    }

    #[test]
    fn a_call_that_takes_sql_is_found_too() {
        let stray = "fn f() {\n    sqlx::query(text)\n}\n";
        assert_eq!(told(&[file("crates/core/src/restore.rs", stray)]).len(), 1);
        assert_eq!(told(&[file("crates/core/src/a.rs", "let n = query_scalar::<_, i64>(t);\n")]).len(), 1);
    }

    #[test]
    fn prose_is_no_sql() {
        let prose =
            "// SELECT nothing\nlet a = \"Update the node, then select a place\";\nlet b = \"SELECTED\";\n";
        assert!(told(&[file("crates/core/src/a.rs", prose)]).is_empty());
        let tests = "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    const A: &str = \"SELECT 1\";\n}\n";
        assert!(told(&[file("crates/core/src/a.rs", tests)]).is_empty());
    }

    #[test]
    fn a_table_has_one_crate_that_writes_it() {
        let made = file("crates/core/migrations/sqlite/0001.sql", "CREATE TABLE nodes (id TEXT);\n");
        let own =
            file("crates/core/src/hub/store/node.rs", "const A: &str = \"UPDATE nodes SET name = ?\";\n");
        let reads = file("crates/boards/src/hub/store.rs", "const A: &str = \"SELECT name FROM nodes\";\n");
        assert!(told(&[made, own, reads]).is_empty());

        let made = file("crates/core/migrations/sqlite/0001.sql", "CREATE TABLE nodes (id TEXT);\n");
        let other = file(
            "crates/boards/src/hub/store.rs",
            "const A: &str = \"INSERT \\\n    INTO nodes (id) VALUES (?)\";\n",
        );
        let what = "table `nodes` is made or written by more than one crate: boards, core";
        assert_eq!(
            told(&[made, other]),
            [
                format!("crates/boards/src/hub/store.rs: {what}"),
                format!("crates/core/migrations/sqlite/0001.sql: {what}")
            ]
        );
    }

    #[test]
    fn written_tables_are_those_after_the_verb() {
        let sql = "INSERT INTO grants (a) SELECT a FROM invites ON CONFLICT (a) DO UPDATE SET a = 1";
        assert_eq!(tables_written(sql), ["grants"]);
        assert_eq!(tables_written("SELECT a FROM jobs FOR UPDATE SKIP LOCKED"), [""; 0]);
        assert_eq!(tables_written("DELETE FROM {table} WHERE 1"), [""; 0]);
        assert_eq!(tables_written("CREATE TABLE IF NOT EXISTS events(id)"), ["events"]);
    }
}
