//! From the name that somebody types to the file with the import description.

use std::path::{Path, PathBuf};

/// A name as it is typed: `NAME`, or `NAME@PLACE` for one place alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The description's name, or the path of its file.
    pub name: String,
    /// The only place that will do.
    pub place: Option<String>,
}

impl Wish {
    /// Takes a name apart at its first `@`.
    pub fn parse(text: &str) -> Self {
        match text.split_once('@') {
            Some((name, place)) => Self { name: name.to_owned(), place: Some(place.to_owned()) },
            None => Self { name: text.to_owned(), place: None },
        }
    }
}

/// A description that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What a reservation by it is called.
    pub name: String,
    /// The TOML text.
    pub text: String,
}

/// Why no description was read.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// There is none of this name.
    #[error("No import description file exists for name {0}")]
    Missing(String),
    /// The file cannot be read.
    #[error("cannot read the import description {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Where descriptions are looked for.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The working folder.
    pub working: PathBuf,
    /// The home folder, at which the way up from the working folder ends.
    pub home: PathBuf,
    /// The folder of this person's settings: `$XDG_CONFIG_HOME`, or `.config` in the home folder.
    pub settings: PathBuf,
}

impl Folders {
    /// Those of this process.
    pub fn of_process() -> std::io::Result<Self> {
        let home = std::env::home_dir().unwrap_or_else(|| "/".into());
        let settings =
            std::env::var_os("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        Ok(Self { working: std::env::current_dir()?, home, settings })
    }

    /// The file of a name. With a `/` in it, it is a path; else it is `.not-my-board/NAME.toml` in the working folder or
    /// one above it, below home; else `not-my-board/NAME.toml` among the settings.
    pub fn file(&self, name: &str) -> Result<PathBuf, LookupError> {
        if name.contains('/') {
            return Ok(self.working.join(name));
        }
        let file = format!("{name}.toml");
        let above = self.working.ancestors().skip(1).take_while(|folder| *folder != self.home);
        std::iter::once(self.working.as_path())
            .chain(above)
            .map(|folder| folder.join(".not-my-board"))
            .chain(std::iter::once(self.settings.join("not-my-board")))
            .map(|folder| folder.join(&file))
            .find(|path| path.is_file())
            .ok_or_else(|| LookupError::Missing(name.to_owned()))
    }

    /// Reads the description of a name.
    pub fn read(&self, name: &str) -> Result<Found, LookupError> {
        let path = self.file(name)?;
        let text = std::fs::read_to_string(&path)
            .map_err(|source| LookupError::File { path: path.clone(), source })?;
        let stem = path.file_stem().unwrap_or_else(|| Path::new(name).as_os_str());
        Ok(Found { name: stem.to_string_lossy().into_owned(), text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_say_which_place() {
        assert_eq!(Wish::parse("a"), Wish { name: "a".to_owned(), place: None });
        assert_eq!(Wish::parse("a@b@c"), Wish { name: "a".to_owned(), place: Some("b@c".to_owned()) });
    }

    #[test]
    fn the_nearest_description_counts_and_home_is_the_end() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let home = root.path().join("home");
        let working = home.join("a/b");
        let settings = home.join(".config");
        let folders = Folders { working: working.clone(), home: home.clone(), settings: settings.clone() };
        let place = |folder: &Path, name: &str, text: &str| {
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join(name), text)
        };
        place(&settings.join("not-my-board"), "x.toml", "settings")?;
        place(&home.join(".not-my-board"), "x.toml", "home")?;
        std::fs::create_dir_all(&working)?;
        assert_eq!(folders.read("x").unwrap(), Found { name: "x".to_owned(), text: "settings".to_owned() });
        place(&home.join("a/.not-my-board"), "x.toml", "above")?;
        assert_eq!(folders.read("x").unwrap().text, "above");
        place(&working.join(".not-my-board"), "x.toml", "here")?;
        assert_eq!(folders.read("x").unwrap().text, "here");
        place(&working, "some.thing.toml", "path")?;
        assert_eq!(folders.read("./some.thing.toml").unwrap().name, "some.thing");
        let missing = folders.read("y").unwrap_err().to_string();
        assert_eq!(missing, "No import description file exists for name y");
        assert!(folders.read("./y.toml").unwrap_err().to_string().contains("y.toml: No such file"));
        // Whoever works in the home folder itself finds what lies there.
        let at_home = Folders { working: home, ..folders };
        assert_eq!(at_home.read("x").unwrap().text, "home");
        Ok(())
    }
}
