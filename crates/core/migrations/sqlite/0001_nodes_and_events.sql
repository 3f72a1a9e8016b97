-- Ids are UUIDs as text, times are milliseconds since 1970-01-01 UTC, lists and maps are JSON as text.

CREATE TABLE nodes (
    id           TEXT   NOT NULL PRIMARY KEY,
    name         TEXT   NOT NULL,
    public_key   TEXT,
    status       TEXT   NOT NULL CHECK (status IN ('invited', 'pending', 'active', 'revoked')),
    labels       TEXT   NOT NULL DEFAULT '{}',
    version      TEXT,
    addresses    TEXT   NOT NULL DEFAULT '[]',
    targets      TEXT   NOT NULL DEFAULT '[]',
    created_at   BIGINT NOT NULL,
    joined_at    BIGINT,
    approved_at  BIGINT,
    last_seen_at BIGINT,
    last_source  TEXT,
    revoked_at   BIGINT
);
CREATE UNIQUE INDEX nodes_name ON nodes (name) WHERE status <> 'revoked';
CREATE UNIQUE INDEX nodes_public_key ON nodes (public_key);

CREATE TABLE node_roles (
    node_id TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    role    TEXT NOT NULL,
    PRIMARY KEY (node_id, role)
);

CREATE TABLE invites (
    id          TEXT   NOT NULL PRIMARY KEY,
    secret_hash TEXT   NOT NULL UNIQUE,
    node_id     TEXT   REFERENCES nodes (id) ON DELETE CASCADE,
    name        TEXT,
    roles       TEXT   NOT NULL DEFAULT '[]',
    grants      TEXT   NOT NULL DEFAULT '[]',
    created_at  BIGINT NOT NULL,
    created_by  TEXT   NOT NULL,
    expires_at  BIGINT NOT NULL,
    uses_left   BIGINT NOT NULL CHECK (uses_left >= 0),
    revoked_at  BIGINT
);
CREATE INDEX invites_node ON invites (node_id);

CREATE TABLE grants (
    id           TEXT   NOT NULL PRIMARY KEY,
    subject_kind TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    action       TEXT   NOT NULL,
    scope_kind   TEXT   NOT NULL,
    scope        TEXT   NOT NULL DEFAULT '',
    created_at   BIGINT NOT NULL,
    created_by   TEXT   NOT NULL
);
CREATE UNIQUE INDEX grants_right ON grants (subject_kind, subject, action, scope_kind, scope);
CREATE INDEX grants_scope ON grants (scope_kind, scope);

CREATE TABLE node_keys (
    id           TEXT   NOT NULL PRIMARY KEY,
    node_id      TEXT   NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    secret_hash  TEXT   NOT NULL UNIQUE,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT
);
CREATE INDEX node_keys_node ON node_keys (node_id);

-- Under the shared access key a name belongs to its first user until an operator releases it.
CREATE TABLE access_key_names (
    name         TEXT   NOT NULL PRIMARY KEY,
    bound_to     TEXT   NOT NULL,
    bound_at     BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL
);

CREATE TABLE data_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    master_id  TEXT   NOT NULL,
    wrapped    TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE settings (
    name       TEXT   NOT NULL PRIMARY KEY,
    value      TEXT   NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE events (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at          BIGINT  NOT NULL,
    actor_kind  TEXT    NOT NULL,
    actor_id    TEXT    NOT NULL,
    actor_name  TEXT    NOT NULL,
    source      TEXT,
    request_id  TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    object_kind TEXT    NOT NULL,
    object_id   TEXT    NOT NULL,
    object_name TEXT    NOT NULL,
    detail      TEXT    NOT NULL
);
CREATE INDEX events_at ON events (at);
CREATE INDEX events_actor ON events (actor_kind, actor_id, id);
CREATE INDEX events_object ON events (object_kind, object_id, id);
CREATE INDEX events_action ON events (action, id);
