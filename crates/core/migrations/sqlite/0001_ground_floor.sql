CREATE TABLE nodes (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    public_key   TEXT,
    status       TEXT NOT NULL CHECK (status IN ('invited', 'pending', 'active', 'revoked')),
    report       TEXT NOT NULL DEFAULT '{}',
    labels       TEXT NOT NULL DEFAULT '{}',
    created_at   BIGINT NOT NULL,
    joined_at    BIGINT,
    last_seen_at BIGINT,
    last_address TEXT
);
-- A name is free again once its node was revoked.
CREATE UNIQUE INDEX nodes_name ON nodes (lower(name)) WHERE status <> 'revoked';
CREATE UNIQUE INDEX nodes_public_key ON nodes (public_key) WHERE public_key IS NOT NULL;

CREATE TABLE node_roles (
    node_id TEXT NOT NULL REFERENCES nodes (id),
    role    TEXT NOT NULL,
    PRIMARY KEY (node_id, role)
);

CREATE TABLE invites (
    id          TEXT PRIMARY KEY,
    secret_hash TEXT NOT NULL UNIQUE,
    node_id     TEXT REFERENCES nodes (id),
    roles       TEXT NOT NULL,
    grants      TEXT NOT NULL,
    uses_left   BIGINT NOT NULL CHECK (uses_left >= 0),
    expires_at  BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    created_by  TEXT NOT NULL
);

CREATE TABLE grants (
    id           TEXT PRIMARY KEY,
    subject_kind TEXT NOT NULL,
    subject      TEXT NOT NULL,
    action       TEXT NOT NULL,
    scope_kind   TEXT NOT NULL,
    scope        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    created_by   TEXT NOT NULL,
    UNIQUE (subject_kind, subject, action, scope_kind, scope)
);

-- Access keys of one node each; the shared one lies in a file.
CREATE TABLE node_keys (
    id          TEXT PRIMARY KEY,
    node_id     TEXT NOT NULL REFERENCES nodes (id),
    secret_hash TEXT NOT NULL UNIQUE,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT
);

-- Which node used the shared access key first under which name.
CREATE TABLE access_key_names (
    name     TEXT PRIMARY KEY,
    node_id  TEXT NOT NULL REFERENCES nodes (id),
    bound_at BIGINT NOT NULL
);

CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          BIGINT NOT NULL,
    actor_kind  TEXT NOT NULL,
    actor_id    TEXT NOT NULL,
    actor_name  TEXT NOT NULL,
    source      TEXT,
    request     TEXT NOT NULL,
    action      TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    object_name TEXT NOT NULL,
    detail      TEXT NOT NULL
);
CREATE INDEX events_at ON events (at);
CREATE INDEX events_object ON events (object_kind, object_id, id);

-- Keys that seal values, themselves sealed under the master key.
CREATE TABLE data_keys (
    id         TEXT PRIMARY KEY,
    master_id  TEXT NOT NULL,
    wrapped    TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
