//! What stands around every page: the menu, who is signed in, the colours, a message of what was just done. What pages
//! hold is in `views`.

use time::OffsetDateTime;

use crate::ui::{Ago, Exact, Moment, Tone};
use crate::{assets, words};

/// One entry of the menu.
#[derive(Clone, Debug)]
pub struct MenuItem {
    /// Its words.
    pub name: &'static str,
    /// Where it leads.
    pub path: &'static str,
    /// Its icon in the sprite.
    pub icon: &'static str,
    /// Entries of one group stand together.
    pub group: u8,
    /// A number beside it that wants a look; none if it is 0.
    pub count: usize,
    /// How much it wants it.
    pub tone: Tone,
}

impl MenuItem {
    /// An entry without a number.
    pub const fn new(group: u8, name: &'static str, path: &'static str, icon: &'static str) -> Self {
        Self { name, path, icon, group, count: 0, tone: Tone::Plain }
    }
}

/// The core's own entries, in their order; those of the fleets come after the first.
pub const CORE_MENU: [MenuItem; 8] = [
    MenuItem::new(0, "Overview", "/", "overview"),
    MenuItem::new(1, "Nodes", "/nodes", "nodes"),
    MenuItem::new(1, "Streams", "/streams", "streams"),
    MenuItem::new(2, "People", "/people", "people"),
    MenuItem::new(2, "Audit", "/audit", "audit"),
    MenuItem::new(3, "Settings", "/settings", "settings"),
    MenuItem::new(3, "Status", "/status", "status"),
    MenuItem::new(3, "API", "/reference", "api"),
];

/// The colours that somebody chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the system has it.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// The cookie that holds the choice; the switch in `console.js` sets it.
    pub const COOKIE: &str = "nave-theme";

    /// From how the cookie writes it; anything else is the system's.
    pub fn from_word(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }

    /// As the page's first element says it.
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::System => None,
            Self::Light => Some("light"),
            Self::Dark => Some("dark"),
        }
    }
}

/// Something that was just done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether it went well.
    pub tone: Tone,
    /// What it was.
    pub words: String,
}

/// Who is signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
}

/// What stands around a page.
#[derive(Clone, Debug)]
pub struct Shell {
    /// The page's title.
    pub title: String,
    /// The menu entry that it belongs to, by its path.
    pub here: &'static str,
    /// The menu.
    pub menu: Vec<MenuItem>,
    /// Who is signed in; nobody on the pages before that.
    pub person: Option<SignedIn>,
    /// The hub, as people call it: the host in its address.
    pub hub: String,
    /// The colours.
    pub theme: Theme,
    /// Goes into every form.
    pub form_token: String,
    /// What was just done.
    pub notice: Option<Notice>,
    /// When the page was made.
    pub now: OffsetDateTime,
}

impl Shell {
    /// What stands around a page that is shown when nothing else is known.
    pub fn nobody(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            here: "",
            menu: Vec::new(),
            person: None,
            hub: "Nave".to_owned(),
            theme: Theme::System,
            form_token: String::new(),
            notice: None,
            now: OffsetDateTime::UNIX_EPOCH,
        }
    }

    /// Whether an entry stands for the page.
    pub fn is_here(&self, item: &MenuItem) -> bool {
        item.path == self.here
    }

    /// Whether a group of entries begins with this one.
    pub fn begins_group(&self, at: &usize) -> bool {
        *at > 0 && self.menu[*at].group != self.menu[*at - 1].group
    }

    /// The address of an asset.
    pub fn asset(&self, name: &str) -> &'static str {
        assets::address(name)
    }

    /// How long ago a time is.
    pub fn ago(&self, at: &OffsetDateTime) -> Moment {
        Moment { at: *at, now: self.now }
    }

    /// How long ago a time is, or a word where there is none.
    pub fn ago_or(&self, at: &Option<OffsetDateTime>, never: &'static str) -> Ago {
        at.map_or(Ago::Never(never), |at| Ago::At(self.ago(&at)))
    }

    /// A time to the second, by the clock of whoever looks.
    pub fn clock(&self, at: &OffsetDateTime) -> Exact {
        Exact(*at)
    }

    /// A time to the second.
    pub fn exact(&self, at: &OffsetDateTime) -> String {
        words::exact(*at)
    }

    /// The letters by which whoever is signed in is drawn.
    pub fn initials(&self) -> String {
        self.person.as_ref().map(|person| words::initials(&person.name)).unwrap_or_default()
    }
}

/// The field that carries a form's token.
#[derive(Clone, Copy, Debug)]
pub struct TokenField<'a>(&'a str);

impl Shell {
    /// The field that every form needs which changes something.
    pub fn token(&self) -> TokenField<'_> {
        TokenField(&self.form_token)
    }
}

impl std::fmt::Display for TokenField<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A token is made of letters and digits; anything else is left out rather than escaped.
        let token: String =
            self.0.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
        write!(f, r#"<input type="hidden" name="form_token" value="{token}">"#)
    }
}

impl askama::filters::HtmlSafe for TokenField<'_> {}
