//! The reserved paths of the one port: which dialect or part owns which path, so that none gets in another's way.

/// Who owns a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The console: everything that is nobody else's.
    Console,
    /// The native API.
    Native,
    /// Nodes.
    Nodes,
    /// FLIP trusts.
    Flip,
    /// not-my-board agents and exporters.
    NotMyBoard,
    /// NAISYS runners.
    Naisys,
    /// Flower's fleet and control APIs.
    Flower,
    /// Nave as an OpenID provider, and the sign-in callback.
    OpenId,
    /// Health and metrics.
    Operations,
}

/// Path prefixes, by whole segments; of several that fit, the longest decides.
pub const RESERVED: [(&str, Owner); 20] = [
    ("/", Owner::Console),
    ("/nave/v1", Owner::Native),
    ("/link", Owner::Nodes),
    ("/stream", Owner::Nodes),
    ("/api", Owner::Flip),
    ("/api/v1/places", Owner::NotMyBoard),
    ("/api/v1/auth-info", Owner::NotMyBoard),
    ("/oidc-callback", Owner::NotMyBoard),
    ("/ws", Owner::NotMyBoard),
    ("/socket.io", Owner::Naisys),
    ("/hub", Owner::Naisys),
    ("/attachments", Owner::Naisys),
    ("/v1/control", Owner::Flower),
    ("/v1/fleet", Owner::Flower),
    ("/v1/runtime", Owner::Flower),
    ("/health", Owner::Flower),
    ("/oidc", Owner::OpenId),
    ("/metrics", Owner::Operations),
    ("/healthz", Owner::Operations),
    ("/readyz", Owner::Operations),
];

/// Who owns a path.
pub fn owner_of(path: &str) -> Owner {
    let fits = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| prefix == "/" || rest.is_empty() || rest.starts_with('/'))
    };
    let best = RESERVED.iter().filter(|(prefix, _)| fits(prefix)).max_by_key(|(prefix, _)| prefix.len());
    best.map_or(Owner::Console, |(_, owner)| *owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::http::core_routes;

    #[test]
    fn every_path_has_one_owner() {
        for (path, owner) in [
            ("/", Owner::Console),
            ("/nodes", Owner::Console),
            ("/linkage", Owner::Console),
            ("/nave/v1/nodes", Owner::Native),
            ("/link", Owner::Nodes),
            ("/api/projects", Owner::Flip),
            ("/api/v1", Owner::Flip),
            ("/api/v1/places", Owner::NotMyBoard),
            ("/api/v1/placesX", Owner::Flip),
            ("/ws", Owner::NotMyBoard),
            ("/socket.io/", Owner::Naisys),
            ("/hub/socket.io/", Owner::Naisys),
            ("/v1/fleet/x", Owner::Flower),
            ("/health", Owner::Flower),
            ("/healthz", Owner::Operations),
            ("/oidc/callback", Owner::OpenId),
            ("/oidc-callback", Owner::NotMyBoard),
        ] {
            assert_eq!(owner_of(path), owner, "{path}");
        }
        for (index, (prefix, _)) in RESERVED.iter().enumerate() {
            assert!(
                !RESERVED[index + 1..].iter().any(|(other, _)| other == prefix),
                "{prefix} stands there twice"
            );
        }
    }

    #[test]
    fn the_core_keeps_to_its_own_paths() {
        for row in core_routes().rows() {
            let owner = owner_of(row.path);
            assert!(matches!(owner, Owner::Native | Owner::Nodes | Owner::Operations), "{row}: {owner:?}");
        }
    }
}
