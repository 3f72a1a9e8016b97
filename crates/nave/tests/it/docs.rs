//! That the documents are true: every command in them runs, on machines such as the page speaks of, in the order in
//! which it stands there; what they quote of the program is what it says; their links lead somewhere.

mod messages;
pub mod page;
mod terminal;
mod visitor;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use nave_testkit::need;
use nave_testkit::need::packages;
use nave_testkit::net::{Net, SERVER};
use nave_testkit::nspawn::Machine;

use self::page::{Act, Page, root};
use self::world::World;

/// Pages with commands, and the test that runs all of them. A page that is not here fails, and so does a line that
/// cannot be run.
const RUN_BY: [(&str, &str); 10] = [
    ("README.md", "netns_the_readme"),
    ("docs/agents.md", "the_first_agent_in_two_minutes"),
    ("docs/api.md", "the_commands_of_the_page_do_what_it_says"),
    ("docs/backup.md", "netns_backup"),
    ("docs/deploy.md", "nspawn_the_pages_about_the_package"),
    ("docs/first-steps.md", "netns_first_steps"),
    ("docs/install.md", "nspawn_the_pages_about_the_package"),
    ("docs/machines.md", "netns_machines"),
    ("docs/people.md", "netns_people"),
    ("docs/troubleshooting.md", "netns_troubleshooting"),
];

/// A hub that runs already.
const HUB: &str = "server$ nave hub";
/// A service on `lab`.
const SERVICE: &str = "lab$ python3 -m http.server 8080 --bind 127.0.0.1";

#[test]
fn every_page_with_commands_is_run() -> anyhow::Result<()> {
    let known: BTreeMap<&str, &str> = RUN_BY.into_iter().collect();
    let tests = [
        include_str!("docs.rs"),
        include_str!("../../../core/tests/it/openapi.rs"),
        include_str!("agent_up.rs"),
    ];
    for (page, test) in &known {
        ensure!(tests.iter().any(|source| source.contains(&format!("fn {test}("))), "{test} is gone: {page}");
    }
    let pages = Page::all()?;
    let mut with_commands = BTreeSet::new();
    for page in &pages {
        if !page.lines()?.is_empty() {
            with_commands.insert(page.name.as_str());
        }
    }
    assert_eq!(with_commands, known.into_keys().collect(), "RUN_BY does not name the pages with commands");
    // The API's own test runs every line of its page that begins so, with a token and without a hub's name.
    let api = Page::read("docs/api.md")?.lines()?;
    ensure!(
        tests[1].contains("docs/api.md") && api.iter().all(|(_, line)| line.starts_with("curl ")),
        "{api:?}"
    );
    Ok(())
}

#[test]
fn commands_in_sentences_exist() -> anyhow::Result<()> {
    let reference = std::fs::read_to_string(root().join("docs/cli.md"))?;
    let mut sections = BTreeMap::new();
    for section in reference.split("\n## ").skip(1) {
        let (title, text) = section.split_once('\n').context("a heading has a line of its own")?;
        sections.insert(title, text);
    }
    for page in Page::all()? {
        for (line, span) in page.spans() {
            let Some(words) = span.strip_prefix("nave ") else { continue };
            let place = format!("{}:{line}: {span:?}", page.name);
            let words: Vec<&str> = words.split_whitespace().collect();
            let named = |count: usize| format!("nave {}", words[..count].join(" "));
            let depth = (1..=words.len()).rev().find(|count| sections.contains_key(named(*count).as_str()));
            let depth = depth.with_context(|| format!("{place}: there is no such command"))?;
            let section = sections[named(depth).as_str()];
            let takes = |word: &str| section.lines().any(|line| line.split([' ', ',']).any(|it| it == word));
            for word in &words[depth..] {
                if *word == "--" {
                    // What follows is another program's.
                    ensure!(section.contains("[-- <"), "{place}: it runs no command");
                    break;
                }
                ensure!(!word.starts_with("--") || takes(word), "{place}: it takes no {word}");
            }
            let is_option = words.get(depth).is_some_and(|word| word.starts_with("--"));
            ensure!(
                words.len() == depth || is_option || !section.contains("\nCommands:\n"),
                "{place}: there is no such command"
            );
        }
    }
    Ok(())
}

#[test]
fn messages_are_quoted_as_they_are() -> anyhow::Result<()> {
    let mut texts = Vec::new();
    for name in ["core", "link", "nave", "web"] {
        texts.extend(messages::texts(&root().join("crates").join(name).join("src"))?);
    }
    let page = Page::read("docs/troubleshooting.md")?;
    let mut quotes = 0;
    for quote in page.quotes() {
        let plain: usize = quote.split('…').map(|piece| piece.trim().len()).sum();
        ensure!(plain >= 10, "{quote:?} quotes too little to be found");
        let said = texts.iter().any(|text| messages::is_quoted_from(text, quote));
        ensure!(said, "the program does not say {quote:?}");
        quotes += 1;
    }
    ensure!(quotes > 40, "only {quotes} quotations were found: do they begin with `>`?");
    Ok(())
}

#[test]
fn links_lead_somewhere() -> anyhow::Result<()> {
    for page in Page::all()? {
        for link in page.links() {
            let (file, anchor) =
                link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let folder = root().join(&page.name).parent().context("a page lies in a folder")?.to_owned();
            let path = if file.is_empty() { root().join(&page.name) } else { folder.join(file) };
            ensure!(path.exists(), "{}: {link} leads nowhere", page.name);
            if let Some(anchor) = anchor {
                let there = Page { name: link.to_owned(), text: std::fs::read_to_string(&path)? };
                ensure!(
                    there.anchors().iter().any(|it| it == anchor),
                    "{}: {link} leads to no heading",
                    page.name
                );
            }
        }
    }
    Ok(())
}

/// Runs a page on hosts in networks of their own.
async fn follow(before: &[&str], page: &str) -> anyhow::Result<()> {
    for name in ["netns", "curl", "python"] {
        if !need(name) {
            return Ok(());
        }
    }
    World::new()?.follow(&before.join("\n"), page).await
}

#[tokio::test(flavor = "multi_thread")]
async fn netns_the_readme() -> anyhow::Result<()> {
    follow(&[SERVICE], "README.md").await
}

#[tokio::test(flavor = "multi_thread")]
async fn netns_first_steps() -> anyhow::Result<()> {
    follow(&[], "docs/first-steps.md").await
}

#[tokio::test(flavor = "multi_thread")]
async fn netns_machines() -> anyhow::Result<()> {
    follow(&[HUB, SERVICE], "docs/machines.md").await
}

#[tokio::test(flavor = "multi_thread")]
async fn netns_people() -> anyhow::Result<()> {
    let lab = [
        "server$ nave invite --name lab",
        "lab$ nave join https://server:3101 --token nave1… --allow 127.0.0.1:8080",
    ];
    let asks = r#"laptop$ curl --insecure --json '{"email": "mary@example.org"}' https://server:3101/nave/v1/access-requests"#;
    follow(&[HUB, lab[0], lab[1], asks], "docs/people.md").await
}

#[tokio::test(flavor = "multi_thread")]
async fn netns_backup() -> anyhow::Result<()> {
    if !need("postgres") || !need("netns") || !need("curl") {
        return Ok(());
    }
    World::new()?.with_postgres()?.follow(HUB, "docs/backup.md").await
}

#[tokio::test(flavor = "multi_thread")]
async fn netns_troubleshooting() -> anyhow::Result<()> {
    follow(&[HUB], "docs/troubleshooting.md").await
}

/// What needs a system of its own is run on one: apt and systemd are real there.
#[tokio::test(flavor = "multi_thread")]
async fn nspawn_the_pages_about_the_package() -> anyhow::Result<()> {
    if !(need("nspawn") && need("netns") && need("package")) {
        return Ok(());
    }
    let built = packages().context("no package was built")?;
    let net = Net::server_lab_laptop()?;
    for page in ["docs/install.md", "docs/deploy.md"] {
        let machine = Machine::boot_on(&net.server).await?;
        // One machine plays all parts of the page, and is found by the name that stands there.
        machine.read(&format!("echo {SERVER} hub.example.org >>/etc/hosts")).await?;
        for entry in std::fs::read_dir(&built)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                machine.put(&entry.path(), &format!("/opt/{}", entry.file_name().to_string_lossy()))?;
            }
        }
        let mut token = String::new();
        for step in Page::read(page)?.steps()? {
            let line = match step.act {
                Act::Configure(text) => {
                    machine.write("/etc/nave/hub.toml", &text, 0o644)?;
                    continue;
                }
                // `cargo xtask tidy` checks that there is such a chore.
                Act::Type { line, .. } if line.starts_with("cargo xtask ") => continue,
                Act::Type { line, .. } => line,
            };
            let line =
                line.replace("nave1…", &token).replace("_amd64.deb", &format!("_{}.deb", architecture()));
            // Whoever is asked whether to go on, goes on.
            let line = if line.starts_with("apt ") { format!("yes | {line}") } else { line };
            let printed = machine.read(&format!("cd /opt && {line}")).await.with_context(|| step.at)?;
            if let Some(word) = printed.split_whitespace().find(|word| word.starts_with("nave1.")) {
                word.clone_into(&mut token);
            }
        }
    }
    Ok(())
}

/// What Debian calls the processor.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}
