//! A form as it is shown: what was filled in, what is wrong with it, and its fields one by one, each with its label, its
//! hint and its error in reach of those who listen.

use std::fmt::{Display, Formatter, Result};

use askama::filters::{self, Html, HtmlSafe};
use nave_core::hub::error::Error;

use crate::form::Fields;
use crate::{ui, words};

/// What a form shows in its fields.
#[derive(Clone, Debug, Default)]
pub struct Filled {
    values: Vec<(String, String)>,
    problem: Option<Problem>,
}

/// What is wrong with a form.
#[derive(Clone, Debug)]
struct Problem {
    /// The field at fault.
    field: String,
    /// Whether the form has that field, so that the words can stand beside it.
    beside: bool,
    words: String,
}

impl Filled {
    /// A form that nobody has filled in.
    pub fn blank() -> Self {
        Self::default()
    }

    /// A form with values to begin with.
    pub fn with<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { values, problem: None }
    }

    /// A form that came back: what was typed is kept, and the error stands beside its field if the form has that field.
    pub fn refused(fields: &Fields, error: &Error) -> Self {
        let problem = match error {
            Error::Invalid { field, problem } if fields.all(field).next().is_some() => {
                Problem { field: field.clone(), beside: true, words: words::sentence(problem) }
            }
            Error::Invalid { field, problem } => {
                let words = words::sentence(&format!("{field} {problem}"));
                Problem { field: field.clone(), beside: false, words }
            }
            other => {
                Problem { field: String::new(), beside: false, words: words::sentence(&other.message()) }
            }
        };
        Self { problem: Some(problem), ..Self::with(fields.iter()) }
    }

    /// The same form with an error of something else on its page.
    #[must_use]
    pub fn because(mut self, error: &Error) -> Self {
        let words = words::sentence(&error.message());
        self.problem = Some(Problem { field: String::new(), beside: false, words });
        self
    }

    /// What is wrong with the form as a whole.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_ref().filter(|problem| !problem.beside).map(|problem| problem.words.as_str())
    }

    /// What is wrong with one field.
    pub fn problem_of(&self, name: &str) -> Option<&str> {
        self.problem_among(name).filter(|_| self.problem.as_ref().is_some_and(|problem| problem.beside))
    }

    /// What is wrong with a group of boxes, of which browsers send nothing when none is ticked.
    pub fn problem_among(&self, name: &str) -> Option<&str> {
        self.problem.as_ref().filter(|problem| problem.field == name).map(|problem| problem.words.as_str())
    }

    /// What stands in a field.
    pub fn value(&self, name: &str) -> &str {
        self.values.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// All fields with what stands in them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a box with this value is ticked.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.values.iter().any(|(field, held)| field == name && held == value)
    }

    /// A field to type into.
    pub fn field<'a>(&'a self, name: &'a str, label: &'a str) -> Field<'a> {
        Field { filled: self, name, label, shape: Shape::Line("text"), hint: "", note: "", extra: Vec::new() }
    }
}

#[derive(Clone, Debug)]
enum Shape<'a> {
    Line(&'a str),
    Text,
    Choice(Vec<(String, String)>),
}

/// One field; the methods say what is special about it.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    filled: &'a Filled,
    name: &'a str,
    label: &'a str,
    shape: Shape<'a>,
    hint: &'a str,
    note: &'a str,
    extra: Vec<(&'a str, &'a str)>,
}

impl<'a> Field<'a> {
    /// What is typed: `email`, `password`, `datetime-local`.
    #[must_use]
    pub fn kind(mut self, kind: &'a str) -> Self {
        self.shape = Shape::Line(kind);
        self
    }

    /// Several lines.
    #[must_use]
    pub fn text(mut self) -> Self {
        self.shape = Shape::Text;
        self
    }

    /// One of several values, each with its words.
    #[must_use]
    pub fn one_of<V: Display, W: Display>(mut self, choices: impl IntoIterator<Item = (V, W)>) -> Self {
        let choices = choices.into_iter().map(|(value, words)| (value.to_string(), words.to_string()));
        self.shape = Shape::Choice(choices.collect());
        self
    }

    /// What helps to fill it in.
    #[must_use]
    pub fn hint(mut self, hint: &'a str) -> Self {
        self.hint = hint;
        self
    }

    /// A word beside the label, such as `optional`.
    #[must_use]
    pub fn note(mut self, note: &'a str) -> Self {
        self.note = note;
        self
    }

    /// An attribute of the control; without a value if that is empty.
    #[must_use]
    pub fn set(mut self, name: &'a str, value: &'a str) -> Self {
        self.extra.push((name, value));
        self
    }

    /// What browsers and password managers fill in.
    #[must_use]
    pub fn fills(self, what: &'a str) -> Self {
        self.set("autocomplete", what)
    }

    /// It must be filled in.
    #[must_use]
    pub fn required(self) -> Self {
        self.set("required", "")
    }

    /// The page is for this field: whoever opens it can type at once.
    #[must_use]
    pub fn first(self) -> Self {
        if self.filled.problem.is_none() { self.set("autofocus", "") } else { self }
    }

    fn attributes(&self, f: &mut Formatter<'_>) -> Result {
        let name = escaped(self.name);
        write!(f, r#" id="{name}" name="{name}""#)?;
        for (name, value) in &self.extra {
            write!(f, r#" {name}="{}""#, escaped(value))?;
        }
        let mut described = Vec::new();
        if self.filled.problem_of(self.name).is_some() {
            write!(f, r#" aria-invalid="true" autofocus"#)?;
            described.push(format!("{name}-error"));
        }
        if !self.hint.is_empty() {
            described.push(format!("{name}-hint"));
        }
        if described.is_empty() {
            Ok(())
        } else {
            write!(f, r#" aria-describedby="{}""#, described.join(" "))
        }
    }

    fn control(&self, f: &mut Formatter<'_>) -> Result {
        let value = self.filled.value(self.name);
        match &self.shape {
            Shape::Line(kind) => {
                write!(f, r#"<input type="{kind}""#)?;
                self.attributes(f)?;
                // A password is never sent back.
                if *kind != "password" && !value.is_empty() {
                    write!(f, r#" value="{}""#, escaped(value))?;
                }
                f.write_str(">")
            }
            Shape::Text => {
                f.write_str("<textarea")?;
                self.attributes(f)?;
                // Browsers drop the first line break, so one is given.
                write!(f, ">\n{}</textarea>", escaped(value))
            }
            Shape::Choice(choices) => {
                f.write_str("<select")?;
                self.attributes(f)?;
                f.write_str(">")?;
                for (choice, words) in choices {
                    let selected = if choice == value { " selected" } else { "" };
                    write!(
                        f,
                        r#"<option value="{}"{selected}>{}</option>"#,
                        escaped(choice),
                        escaped(words)
                    )?;
                }
                f.write_str("</select>")
            }
        }
    }
}

impl Display for Field<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let name = escaped(self.name);
        write!(f, r#"<div class="field"><label for="{name}">{}"#, escaped(self.label))?;
        if !self.note.is_empty() {
            write!(f, " <span>{}</span>", escaped(self.note))?;
        }
        f.write_str("</label>")?;
        self.control(f)?;
        if let Some(problem) = self.filled.problem_of(self.name) {
            let mark = ui::icon("fail");
            write!(f, r#"<p class="error" id="{name}-error">{mark}<span>{}</span></p>"#, ui::told(problem))?;
        }
        if !self.hint.is_empty() {
            write!(f, r#"<p class="hint" id="{name}-hint">{}</p>"#, escaped(self.hint))?;
        }
        f.write_str("</div>")
    }
}

impl HtmlSafe for Field<'_> {}

/// A text as it may stand in HTML, in quotes or not.
fn escaped(text: &str) -> String {
    filters::escape(text, Html).map(|safe| safe.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &[u8], field: &str) -> Filled {
        Filled::refused(&Fields::parse(body).unwrap(), &Error::invalid(field, "must be longer"))
    }

    #[test]
    fn what_was_typed_comes_back_with_the_error_beside_it() {
        let filled = refused(b"name=%22%3E%3Cb%3E&email=a", "name");
        // Where the icons are depends on what is in them.
        insta::with_settings!({ filters => [(r"icons\.[0-9a-f]{16}", "icons.HASH")] }, {
            insta::assert_snapshot!(filled.field("name", "Name").hint("As on the door").required());
        });
        assert_eq!((filled.problem(), filled.value("email")), (None, "a"));
    }

    #[test]
    fn an_error_of_no_field_is_one_of_the_form() {
        let filled = refused(b"name=a", "roles");
        assert_eq!(filled.problem(), Some("Roles must be longer."));
        assert_eq!((filled.problem_of("roles"), filled.problem_among("roles")), (None, filled.problem()));
    }

    #[test]
    fn a_password_is_never_sent_back() {
        let filled = refused(b"password=hunter2", "password");
        assert!(!filled.field("password", "Password").kind("password").to_string().contains("hunter2"));
    }
}
