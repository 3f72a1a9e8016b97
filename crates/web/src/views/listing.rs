//! What long lists have in common: an address that holds filter and order, headings that sort, pages.

use crate::words;

/// The address of a list with what was asked of it.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    path: &'static str,
    asked: Vec<(&'static str, String)>,
}

impl Listing {
    /// A list, with the values of the address that are not empty.
    pub fn new(path: &'static str, asked: &[(&'static str, &str)]) -> Self {
        let asked = asked.iter().filter(|(_, value)| !value.is_empty());
        Self { path, asked: asked.map(|(name, value)| (*name, (*value).to_owned())).collect() }
    }

    /// What was asked.
    pub fn get(&self, name: &str) -> &str {
        self.asked.iter().find(|(asked, _)| *asked == name).map_or("", |(_, value)| value)
    }

    /// Whether anything narrows the list.
    pub fn is_narrowed(&self) -> bool {
        self.asked.iter().any(|(name, _)| !["sort", "page"].contains(name))
    }

    /// The address with another value; an empty one takes it out. Whatever is asked anew begins on the first page.
    pub fn with(&self, name: &'static str, value: &str) -> String {
        let kept = self.asked.iter().filter(|(asked, _)| *asked != name && *asked != "page");
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept.map(|(name, value)| (*name, value.as_str())));
        if !value.is_empty() {
            query.append_pair(name, value);
        }
        match query.finish() {
            query if query.is_empty() => self.path.to_owned(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// The address of a page.
    pub fn page(&self, number: usize) -> String {
        if number <= 1 { self.with("page", "") } else { self.with("page", &number.to_string()) }
    }

    /// The address itself.
    pub fn here(&self) -> String {
        self.page(self.get("page").parse().unwrap_or(1))
    }

    /// The list itself, with nothing asked.
    pub fn bare(&self) -> &'static str {
        self.path
    }

    /// A heading that sorts by `key`; once more, the other way round.
    pub fn heading(&self, key: &'static str, label: &'static str, class: &'static str) -> Heading {
        let sort = self.get("sort");
        let first = ["name"].contains(&key) && sort.is_empty();
        let (order, next) = match (sort.strip_prefix('-'), sort) {
            (Some(sorted), _) if sorted == key => ("descending", ""),
            (_, sorted) if sorted == key || first => ("ascending", "-"),
            _ => ("none", ""),
        };
        Heading { label, class, order, path: self.with("sort", &format!("{next}{key}")) }
    }
}

/// A heading that sorts.
#[derive(Clone, Debug)]
pub struct Heading {
    /// Its words.
    pub label: &'static str,
    /// Its class.
    pub class: &'static str,
    /// How the list is sorted by it: `ascending`, `descending` or `none`.
    pub order: &'static str,
    /// The list sorted by it, or the other way round.
    pub path: String,
}

/// How many rows a page has.
pub const ROWS: usize = 50;

/// Which part of a list is shown.
#[derive(Clone, Debug)]
pub struct Pager {
    /// In words: `1–50 of 3,000`.
    pub words: String,
    /// The page before, if there is one.
    pub newer: Option<String>,
    /// The page after, if there is one.
    pub older: Option<String>,
}

impl Pager {
    /// The part of a list that its address asks for, and the pager below it. A page that is too high is the last one.
    pub fn cut<T>(listing: &Listing, rows: Vec<T>) -> (Vec<T>, Self) {
        let total = rows.len();
        let last = total.div_ceil(ROWS).max(1);
        let page = listing.get("page").parse().unwrap_or(1_usize).clamp(1, last);
        let first = (page - 1) * ROWS;
        let shown: Vec<T> = rows.into_iter().skip(first).take(ROWS).collect();
        let words = match shown.len() {
            0 => "none".to_owned(),
            count if count == total => format!("{} in all", words::number(total)),
            count => format!(
                "{}–{} of {}",
                words::number(first + 1),
                words::number(first + count),
                words::number(total)
            ),
        };
        let newer = (page > 1).then(|| listing.page(page - 1));
        let older = (page < last).then(|| listing.page(page + 1));
        (shown, Self { words, newer, older })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_what_was_asked() {
        let listing = Listing::new("/nodes", &[("q", "a&b"), ("sort", ""), ("page", "3")]);
        assert_eq!(listing.with("status", "on"), "/nodes?q=a%26b&status=on");
        assert_eq!(listing.with("q", ""), "/nodes");
        assert_eq!(
            (listing.page(4), listing.page(1)),
            ("/nodes?q=a%26b&page=4".into(), "/nodes?q=a%26b".into())
        );
        assert!(listing.is_narrowed() && !Listing::new("/nodes", &[("sort", "-seen")]).is_narrowed());
    }

    #[test]
    fn headings_turn_the_order_round() {
        let order = |sort| {
            let heading = Listing::new("/nodes", &[("sort", sort)]).heading("seen", "Last seen", "");
            (heading.order, heading.path)
        };
        assert_eq!(order(""), ("none", "/nodes?sort=seen".to_owned()));
        assert_eq!(order("seen"), ("ascending", "/nodes?sort=-seen".to_owned()));
        assert_eq!(order("-seen"), ("descending", "/nodes?sort=seen".to_owned()));
        assert_eq!(Listing::new("/nodes", &[]).heading("name", "Name", "").order, "ascending");
    }

    #[test]
    fn any_page_number_leads_to_a_page() {
        let cut = |page, rows| {
            let (shown, pager) = Pager::cut(&Listing::new("/nodes", &[("page", page)]), (0..rows).collect());
            (shown.len(), pager.words, pager.newer.is_some(), pager.older.is_some())
        };
        assert_eq!(cut("", 3), (3, "3 in all".into(), false, false));
        assert_eq!(cut("2", 3000), (50, "51–100 of 3,000".into(), true, true));
        for page in ["999999", "60"] {
            assert_eq!(cut(page, 3000), (50, "2,951–3,000 of 3,000".into(), true, false));
        }
        for page in ["0", "-1", "x", "99999999999999999999"] {
            assert_eq!(cut(page, 60).0, 50, "{page}");
        }
        assert_eq!(cut("7", 0), (0, "none".into(), false, false));
    }
}
