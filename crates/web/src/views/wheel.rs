//! The picture of who is connected: the hub in the middle, the nodes around it, the streams between them. Few nodes have
//! their names beside them, more are dots, and of very many only their share is drawn.

use std::f64::consts::TAU;

/// The picture's size, in its own units.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 310.0;
/// The most nodes whose names are shown, and the most that are drawn.
const MOST_NAMED: usize = 16;
const MOST_DRAWN: usize = 400;
/// The longest name beside a node, in characters.
const LONGEST: usize = 15;

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has a link.
    On,
    /// It has none.
    Off,
    /// It waits to be let in.
    Waiting,
}

impl Standing {
    /// Its class.
    pub const fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Waiting => "waiting",
        }
    }

    /// For those who listen.
    pub const fn words(self) -> &'static str {
        match self {
            Self::On => "connected",
            Self::Off => "not connected",
            Self::Waiting => "waiting to be let in",
        }
    }
}

/// One node in the picture.
#[derive(Clone, Debug)]
pub struct Dot {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Where it is.
    pub x: f64,
    /// Where it is.
    pub y: f64,
    /// How large it is.
    pub radius: f64,
    /// Its name beside it, if there is room.
    pub label: Option<Label>,
}

/// A name beside a node.
#[derive(Clone, Debug)]
pub struct Label {
    /// As much of the name as there is room for.
    pub text: String,
    /// Where it begins, or ends, or has its middle.
    pub x: f64,
    /// Its base line.
    pub y: f64,
    /// Which of those.
    pub anchor: &'static str,
}

/// The picture.
#[derive(Clone, Debug)]
pub struct Wheel {
    /// The nodes; none if there are too many to draw.
    pub dots: Vec<Dot>,
    /// The rims on which they sit.
    pub rims: Vec<f64>,
    /// Streams: a line from node to node, through the hub where it relays them.
    pub chords: Vec<String>,
    /// How many hundredths are connected, and how many wait.
    pub shares: (u64, u64),
}

impl Wheel {
    /// The picture of nodes by name, and of streams by the names of their ends; the last says whether they pass the hub.
    pub fn of(nodes: &[(String, Standing)], streams: &[(String, String, bool)]) -> Self {
        let share = |standing| {
            let count = nodes.iter().filter(|(_, other)| *other == standing).count();
            (count as u64 * 100).checked_div(nodes.len() as u64).unwrap_or(0)
        };
        let shares = (share(Standing::On), share(Standing::Waiting));
        let mut wheel = Self { dots: Vec::new(), rims: Vec::new(), chords: Vec::new(), shares };
        match nodes.len() {
            0 => {}
            count if count <= MOST_NAMED => wheel.named(nodes),
            count if count <= MOST_DRAWN => wheel.dotted(nodes),
            _ => {}
        }
        wheel.chords =
            streams.iter().filter_map(|(from, to, relayed)| wheel.chord(from, to, *relayed)).collect();
        wheel
    }

    fn named(&mut self, nodes: &[(String, Standing)]) {
        let rim = 112.0;
        self.rims = vec![rim];
        for (at, (name, standing)) in nodes.iter().enumerate() {
            let (x, y, angle) = place(rim, at, nodes.len());
            let (sin, cos) = angle.sin_cos();
            let anchor = if cos.abs() < 0.3 {
                "middle"
            } else if cos > 0.0 {
                "start"
            } else {
                "end"
            };
            let label = Label { text: short(name), x: x + cos * 15.0, y: y + 4.0 + sin * 19.0, anchor };
            self.dots.push(Dot {
                name: name.clone(),
                standing: *standing,
                x,
                y,
                radius: 7.0,
                label: Some(label),
            });
        }
    }

    fn dotted(&mut self, nodes: &[(String, Standing)]) {
        let (radius, gap) = if nodes.len() <= 90 { (6.0, 20.0) } else { (3.5, 11.5) };
        let mut rim = 144.0_f64;
        let mut rest = nodes;
        let mut rims = Vec::new();
        while !rest.is_empty() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a few hundred at most"
            )]
            let room = ((TAU * rim / gap) as usize).max(1);
            let (here, others) = rest.split_at(room.min(rest.len()));
            for (at, (name, standing)) in here.iter().enumerate() {
                let (x, y, _) = place(rim, at, here.len());
                self.dots.push(Dot { name: name.clone(), standing: *standing, x, y, radius, label: None });
            }
            rims.push(rim);
            rim = (rim - gap - 2.0).max(34.0);
            rest = others;
        }
        self.rims = rims;
    }

    fn chord(&self, from: &str, to: &str, relayed: bool) -> Option<String> {
        let (cx, cy) = (WIDTH / 2.0, HEIGHT / 2.0);
        let place = |name: &str| self.dots.iter().find(|dot| dot.name == name).map(|dot| (dot.x, dot.y));
        let ((x1, y1), (x2, y2)) = match (place(from), place(to)) {
            (Some(from), Some(to)) => (from, to),
            // A person's device is in nobody's picture; what it opens is seen to come from the hub.
            (None, Some(to)) => return Some(format!("M{cx:.1} {cy:.1}L{:.1} {:.1}", to.0, to.1)),
            (_, None) => return None,
        };
        if relayed {
            return Some(format!("M{x1:.1} {y1:.1}L{cx:.1} {cy:.1}L{x2:.1} {y2:.1}"));
        }
        // A direct stream goes past the hub: its curve is drawn towards the middle, but not through it.
        let bend = |from: f64, to: f64, middle: f64| f64::midpoint(from, to).mul_add(0.55, middle * 0.45);
        let (bx, by) = (bend(x1, x2, cx), bend(y1, y2, cy));
        Some(format!("M{x1:.1} {y1:.1}Q{bx:.1} {by:.1} {x2:.1} {y2:.1}"))
    }
}

/// Where the node at a place on a rim is, with the first one at the top.
fn place(rim: f64, at: usize, count: usize) -> (f64, f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
    let angle = TAU * (at as f64) / (count as f64) - TAU / 4.0;
    let (sin, cos) = angle.sin_cos();
    (rim.mul_add(cos, WIDTH / 2.0), rim.mul_add(sin, HEIGHT / 2.0), angle)
}

fn short(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: usize) -> Vec<(String, Standing)> {
        (0..count).map(|at| (format!("node-{at}"), Standing::On)).collect()
    }

    #[test]
    fn every_number_of_nodes_has_its_picture() {
        for count in [1, 2, 16, 17, 90, 91, 400] {
            let wheel = Wheel::of(&nodes(count), &[]);
            assert_eq!(wheel.dots.len(), count);
            assert!(
                wheel.dots.iter().all(|dot| (0.0..WIDTH).contains(&dot.x) && (0.0..HEIGHT).contains(&dot.y))
            );
            assert_eq!(wheel.dots.iter().all(|dot| dot.label.is_some()), count <= 16, "{count}");
        }
        for count in [0, 401, 100_000] {
            assert!(Wheel::of(&nodes(count), &[]).dots.is_empty());
        }
    }

    #[test]
    fn streams_lead_from_node_to_node() {
        let stream = |from: &str, to: &str, relayed| (from.to_owned(), to.to_owned(), relayed);
        let wheel = Wheel::of(
            &nodes(3),
            &[
                stream("node-0", "node-1", true),
                stream("node-1", "node-2", false),
                stream("Ada", "node-1", true),
                stream("node-1", "gone", true),
            ],
        );
        assert_eq!(wheel.chords.len(), 3);
        assert!(wheel.chords[0].contains("L260.0 155.0L") && wheel.chords[1].contains('Q'));
    }
}
