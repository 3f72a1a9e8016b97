//! The documents as a reader takes them: blocks of commands with the machine that each is for, settings, quoted
//! messages. What is done with them is elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

/// The folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A document.
#[derive(Debug)]
pub struct Page {
    /// From the root of the repository.
    pub name: String,
    pub text: String,
}

/// What a reader does at one place of a page.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it stands, for whoever mends it.
    pub at: String,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    /// Types a line on a machine.
    Type { machine: String, line: String },
    /// Writes `/etc/nave/hub.toml` on the machine that runs the hub.
    Configure(String),
}

impl Page {
    /// One page.
    pub fn read(name: &str) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(root().join(name)).with_context(|| name.to_owned())?;
        Ok(Self { name: name.to_owned(), text })
    }

    /// All pages for readers, but the one that is printed by the program.
    pub fn all() -> anyhow::Result<Vec<Self>> {
        let mut names = vec!["README.md".to_owned()];
        for entry in std::fs::read_dir(root().join("docs"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if Path::new(&name).extension().is_some_and(|it| it == "md") && name != "cli.md" {
                names.push(format!("docs/{name}"));
            }
        }
        names.sort();
        names.iter().map(|name| Self::read(name)).collect()
    }

    /// What its blocks ask the reader to do, in order. A block without a word behind its fence is one of commands.
    pub fn steps(&self) -> anyhow::Result<Vec<Step>> {
        let mut steps = Vec::new();
        let mut lines = self.text.lines().enumerate();
        while let Some((opened, line)) = lines.next() {
            let Some(kind) = line.trim_start().strip_prefix("```") else { continue };
            let mut block = Vec::new();
            loop {
                let (number, line) =
                    lines.next().with_context(|| format!("{}: a block without an end", self.name))?;
                if line.trim_start().starts_with("```") {
                    break;
                }
                block.push((number + 1, line.trim()));
            }
            let at = |number: usize| format!("{}:{number}", self.name);
            match kind {
                "" => {
                    for (number, line) in block.into_iter().filter(|(_, line)| !line.is_empty()) {
                        let (machine, line) = typed(line);
                        let act = Act::Type { machine: machine.to_owned(), line: line.to_owned() };
                        steps.push(Step { at: at(number), act });
                    }
                }
                "toml" => {
                    let text: Vec<&str> = block.into_iter().map(|(_, line)| line).collect();
                    steps.push(Step { at: at(opened + 1), act: Act::Configure(text.join("\n")) });
                }
                "text" | "json" => {}
                other => bail!("{}: what is a block of {other:?}?", at(opened + 1)),
            }
        }
        Ok(steps)
    }

    /// The files that it shows, as they stand there: blocks of text.
    pub fn texts(&self) -> Vec<String> {
        let blocks = self.text.split("```").skip(1).step_by(2);
        blocks.filter_map(|block| block.strip_prefix("text\n").map(str::to_owned)).collect()
    }

    /// The lines that a reader types, with their places.
    pub fn lines(&self) -> anyhow::Result<Vec<(String, String)>> {
        let lines = self.steps()?.into_iter().filter_map(|step| match step.act {
            Act::Type { line, .. } => Some((step.at, line)),
            Act::Configure(_) => None,
        });
        Ok(lines.collect())
    }

    /// The spans of code in its sentences, with the numbers of their lines.
    pub fn spans(&self) -> Vec<(usize, &str)> {
        let mut in_block = false;
        let mut spans = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
            } else if !in_block {
                spans.extend(line.split('`').skip(1).step_by(2).map(|span| (number + 1, span)));
            }
        }
        spans
    }

    /// What it quotes of the program: the lines that begin with `>`.
    pub fn quotes(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter_map(|line| line.strip_prefix("> "))
    }

    /// The anchors of its headings, as GitHub makes them.
    pub fn anchors(&self) -> Vec<String> {
        let mut in_block = false;
        let headings = self.text.lines().filter(|line| {
            in_block ^= line.trim_start().starts_with("```");
            !in_block && line.starts_with('#')
        });
        let anchor = |heading: &str| {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        };
        headings.map(anchor).collect()
    }

    /// Where its links lead, those to other sites left out.
    pub fn links(&self) -> Vec<&str> {
        let starts = self.text.match_indices("](").map(|(at, _)| &self.text[at + 2..]);
        let links = starts.filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
        links.filter(|link| !link.contains("://")).collect()
    }
}

/// A line without its prompt and without the remark at its end. A line without a prompt is for any machine.
fn typed(line: &str) -> (&str, &str) {
    let line = line.split_once("  # ").map_or(line, |(command, _)| command.trim_end());
    let prompt = ["$ ", "# "]
        .iter()
        .find_map(|sign| line.split_once(sign))
        .filter(|(machine, _)| !machine.is_empty() && machine.chars().all(|c| c.is_ascii_lowercase()));
    prompt.map_or(("here", line), |(machine, command)| (machine, command.trim_start()))
}

#[test]
fn a_page_is_read_as_people_read_it() -> anyhow::Result<()> {
    let text = "# A `page`: one\n\n```\nlab$  nave join URL   # it stays\ncargo xtask test\n```\n\n1. Then\n\n   ```toml\n   \
                url = \"x\"\n   ```\n\n```text\nnothing\n```\n> said … so\n\n`nave up` and [there](b.md#c)\n";
    let page = Page { name: "a.md".to_owned(), text: text.to_owned() };
    let steps: Vec<String> = page.steps()?.iter().map(|step| format!("{} {:?}", step.at, step.act)).collect();
    assert_eq!(
        steps,
        [
            r#"a.md:4 Type { machine: "lab", line: "nave join URL" }"#,
            r#"a.md:5 Type { machine: "here", line: "cargo xtask test" }"#,
            r#"a.md:10 Configure("url = \"x\"")"#,
        ]
    );
    assert_eq!(page.quotes().collect::<Vec<_>>(), ["said … so"]);
    assert_eq!(page.spans(), [(1, "page"), (19, "nave up")]);
    assert_eq!(page.texts(), ["nothing\n"]);
    assert_eq!((page.anchors(), page.links()), (vec!["a-page-one".to_owned()], vec!["b.md#c"]));
    let open = Page { text: "```\n".to_owned(), ..page };
    ensure!(open.steps().is_err());
    Ok(())
}
