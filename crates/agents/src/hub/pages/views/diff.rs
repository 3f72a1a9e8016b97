//! What is another between two texts, line by line.

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It stands in both.
    Same,
    /// It stands in the earlier one only.
    Gone,
    /// It stands in the later one only.
    New,
}

impl Change {
    /// Its class.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Gone => "gone",
            Self::New => "new",
        }
    }

    /// How it is marked.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Same => " ",
            Self::Gone => "-",
            Self::New => "+",
        }
    }
}

/// A line of either text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    /// What became of it.
    pub change: Change,
    /// The line.
    pub text: String,
}

/// The most pairs of lines that are compared; texts that are larger are told as wholly another between the parts that they
/// begin and end with in common.
const MOST: usize = 4_000_000;

/// The lines of both, the earlier before the later.
pub fn diff(earlier: &str, later: &str) -> Vec<DiffLine> {
    let (old, new): (Vec<&str>, Vec<&str>) = (earlier.lines().collect(), later.lines().collect());
    let begin = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let (old_rest, new_rest) = (&old[begin..], &new[begin..]);
    let end =
        old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old_part, new_part) = (&old_rest[..old_rest.len() - end], &new_rest[..new_rest.len() - end]);
    let line = |change, text: &&str| DiffLine { change, text: (*text).to_owned() };
    let mut lines: Vec<DiffLine> = old[..begin].iter().map(|text| line(Change::Same, text)).collect();
    if old_part.len().saturating_mul(new_part.len()) > MOST {
        lines.extend(old_part.iter().map(|text| line(Change::Gone, text)));
        lines.extend(new_part.iter().map(|text| line(Change::New, text)));
    } else {
        lines.extend(compared(old_part, new_part));
    }
    lines.extend(old_rest[old_part.len()..].iter().map(|text| line(Change::Same, text)));
    lines
}

/// By their longest common subsequence.
fn compared(old: &[&str], new: &[&str]) -> Vec<DiffLine> {
    let width = new.len() + 1;
    // How many lines the rests have in common, from here and there on.
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for at in (0..old.len()).rev() {
        for to in (0..new.len()).rev() {
            common[at * width + to] = if old[at] == new[to] {
                common[(at + 1) * width + to + 1] + 1
            } else {
                common[(at + 1) * width + to].max(common[at * width + to + 1])
            };
        }
    }
    let (mut at, mut to) = (0, 0);
    let mut lines = Vec::new();
    let mut push = |change, text: &str| lines.push(DiffLine { change, text: text.to_owned() });
    while at < old.len() || to < new.len() {
        if at < old.len() && to < new.len() && old[at] == new[to] {
            push(Change::Same, old[at]);
            (at, to) = (at + 1, to + 1);
        } else if to == new.len()
            || (at < old.len() && common[(at + 1) * width + to] >= common[at * width + to + 1])
        {
            push(Change::Gone, old[at]);
            at += 1;
        } else {
            push(Change::New, new[to]);
            to += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(earlier: &str, later: &str) -> String {
        let lines = diff(earlier, later);
        lines.iter().map(|line| format!("{}{}", line.change.mark(), line.text)).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn only_what_changed_is_marked() {
        assert_eq!(told("a\nb\nc\nd", "a\nc\nx\nd"), " a|-b| c|+x| d");
        assert_eq!(told("a\nb", "a\nb"), " a| b");
        assert_eq!(told("", "a"), "+a");
        assert_eq!(told("a\na", "a"), " a|-a");
        assert_eq!(told("one\ntwo", "two\none"), "-one| two|+one");
    }

    #[test]
    fn huge_texts_are_not_compared_for_ever() {
        let text = |from: u32| (from..from + 3000).map(|at| at.to_string()).collect::<Vec<_>>().join("\n");
        let lines = diff(&format!("same\n{}", text(0)), &format!("same\n{}", text(10_000)));
        assert_eq!((lines.len(), lines[0].change), (6001, Change::Same));
    }
}
