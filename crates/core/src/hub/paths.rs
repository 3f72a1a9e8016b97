//! Which paths of the one port are whose, so that no dialect is in another's way. Who may go there, and what
//! happens there, is not decided here.

/// Whose paths they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The pages for people, and whatever is nobody else's.
    Console,
    /// The hub's own API, for its command line and for programs.
    NativeApi,
    /// Control connections and streams of nodes.
    Nodes,
    /// FLIP's trusts and FL servers.
    Flip,
    /// not-my-board's agents and exporters.
    NotMyBoard,
    /// NAISYS's runners.
    Naisys,
    /// Flower's clients.
    Flower,
    /// The hub as a provider of sign-in, and the way back from another.
    OpenId,
    /// Monitoring.
    Operations,
}

/// How far a reserved path reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// That path alone.
    Exact,
    /// That path and all below it.
    Below,
}

/// One reserved path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The path, without a slash at its end (but for the root).
    pub path: &'static str,
    /// How far it reaches.
    pub reach: Reach,
    /// Whose it is.
    pub owner: Owner,
}

const fn exact(path: &'static str, owner: Owner) -> Reserved {
    Reserved { path, reach: Reach::Exact, owner }
}

const fn below(path: &'static str, owner: Owner) -> Reserved {
    Reserved { path, reach: Reach::Below, owner }
}

/// All of them. Where one lies below another, the longer one wins.
pub const RESERVED: &[Reserved] = &[
    below("/", Owner::Console),
    below("/nave/v1", Owner::NativeApi),
    below("/link", Owner::Nodes),
    below("/stream", Owner::Nodes),
    below("/api", Owner::Flip),
    below("/api/v1/places", Owner::NotMyBoard),
    exact("/api/v1/auth-info", Owner::NotMyBoard),
    exact("/oidc-callback", Owner::NotMyBoard),
    exact("/ws", Owner::NotMyBoard),
    below("/socket.io", Owner::Naisys),
    below("/hub", Owner::Naisys),
    below("/attachments", Owner::Naisys),
    below("/v1/control", Owner::Flower),
    below("/v1/fleet", Owner::Flower),
    below("/v1/runtime", Owner::Flower),
    exact("/health", Owner::Flower),
    below("/oidc", Owner::OpenId),
    exact("/metrics", Owner::Operations),
    exact("/healthz", Owner::Operations),
    exact("/readyz", Owner::Operations),
];

impl Reserved {
    /// Whether a request's path lies within.
    pub fn covers(&self, path: &str) -> bool {
        match (path.strip_prefix(self.path), self.reach) {
            (Some(""), _) => true,
            (Some(rest), Reach::Below) => rest.starts_with('/') || self.path == "/",
            _ => false,
        }
    }
}

impl Owner {
    /// Whose a request's path is (as it stands in the request line, without the query).
    pub fn of(path: &str) -> Self {
        RESERVED
            .iter()
            .filter(|reserved| reserved.covers(path))
            .max_by_key(|reserved| reserved.path.len())
            .map_or(Self::Console, |reserved| reserved.owner)
    }

    /// Whether a request's path is this owner's.
    pub fn owns(self, path: &str) -> bool {
        Self::of(path) == self
    }

    /// What is reserved for this owner.
    pub fn reserved(self) -> impl Iterator<Item = &'static Reserved> {
        RESERVED.iter().filter(move |reserved| reserved.owner == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_its_owners() {
        let owners: &[(Owner, &[&str])] = &[
            (
                Owner::Console,
                &[
                    "/",
                    "/boards",
                    "/nave",
                    "/nave/v10",
                    "/v1",
                    "/v1/controls",
                    "/ws/x",
                    "/apis",
                    "/linked",
                    "",
                ],
            ),
            (Owner::NativeApi, &["/nave/v1", "/nave/v1/", "/nave/v1/nodes"]),
            (Owner::Nodes, &["/link", "/stream", "/stream/0190"]),
            (
                Owner::Flip,
                &["/api", "/api/v2", "/api/v1/place", "/api/v1/places2", "/api/v1", "/api/v1/auth-info/x"],
            ),
            (
                Owner::NotMyBoard,
                &["/api/v1/places", "/api/v1/places/1", "/api/v1/auth-info", "/oidc-callback", "/ws"],
            ),
            (
                Owner::Naisys,
                &["/socket.io/", "/hub", "/hub/socket.io/", "/attachments", "/attachments/1/a.txt"],
            ),
            (Owner::Flower, &["/v1/control/x", "/v1/fleet/x", "/v1/runtime/x", "/health"]),
            (Owner::OpenId, &["/oidc", "/oidc/callback"]),
            (Owner::Operations, &["/metrics", "/healthz", "/readyz"]),
        ];
        for (owner, paths) in owners {
            for path in *paths {
                assert_eq!(Owner::of(path), *owner, "{path}");
                assert!(owner.owns(path));
            }
            assert!(owner.reserved().all(|reserved| owner.owns(reserved.path)), "{owner:?} loses a path");
            assert!(owner.reserved().count() > 0);
        }
    }

    #[test]
    fn no_row_repeats_hides_or_miswrites_another() {
        for (index, row) in RESERVED.iter().enumerate() {
            assert!(
                row.path.starts_with('/') && (row.path == "/" || !row.path.ends_with('/')),
                "{}",
                row.path
            );
            assert_eq!(Owner::of(row.path), row.owner, "{} is hidden", row.path);
            for other in &RESERVED[index + 1..] {
                assert_ne!(row.path, other.path);
                // A row within another of the same owner would say nothing.
                let inside = row.covers(other.path) || other.covers(row.path);
                assert!(!inside || row.owner != other.owner, "{} and {}", row.path, other.path);
            }
        }
    }
}
