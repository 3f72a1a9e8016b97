CREATE TABLE people (
    id               TEXT PRIMARY KEY,
    email            TEXT NOT NULL,
    name             TEXT NOT NULL,
    status           TEXT NOT NULL CHECK (status IN ('invited', 'active', 'disabled')),
    -- Argon2id in PHC form; none for somebody who signs in elsewhere, or has not accepted yet.
    password_hash    TEXT,
    -- The authenticator's seed, sealed; it counts once it is confirmed.
    totp_seed        TEXT,
    totp_confirmed   BIGINT NOT NULL DEFAULT 0,
    -- The last time step whose code was used: each is good once.
    totp_step        BIGINT NOT NULL DEFAULT 0,
    created_at       BIGINT NOT NULL,
    signed_in_at     BIGINT,
    -- Counts changes, so that two who edit at once do not undo each other.
    version          BIGINT NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX people_email ON people (lower(email));

CREATE TABLE person_roles (
    person_id  TEXT NOT NULL REFERENCES people (id),
    role       TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'researcher', 'viewer')),
    scope_kind TEXT NOT NULL,
    scope      TEXT NOT NULL,
    PRIMARY KEY (person_id, role, scope_kind, scope)
);

CREATE TABLE recovery_codes (
    code_hash TEXT PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES people (id),
    used_at   BIGINT
);
CREATE INDEX recovery_codes_person ON recovery_codes (person_id);

-- One-time links: the first administrator's, invitations, new passwords.
CREATE TABLE person_links (
    secret_hash TEXT PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('setup', 'invitation', 'reset')),
    person_id   TEXT REFERENCES people (id),
    created_at  BIGINT NOT NULL,
    created_by  TEXT NOT NULL,
    expires_at  BIGINT NOT NULL
);

CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    secret_hash  TEXT NOT NULL UNIQUE,
    person_id    TEXT NOT NULL REFERENCES people (id),
    -- How far the sign-in has come: a code is wanted, an authenticator must be set up, or it is done.
    stage        TEXT NOT NULL CHECK (stage IN ('code', 'enroll', 'done')),
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    address      TEXT NOT NULL,
    agent        TEXT NOT NULL,
    -- Who vouches for it: the name of a provider, with its sealed tokens.
    provider     TEXT,
    tokens       TEXT
);
CREATE INDEX sessions_person ON sessions (person_id);

CREATE TABLE api_tokens (
    id           TEXT PRIMARY KEY,
    secret_hash  TEXT NOT NULL UNIQUE,
    person_id    TEXT NOT NULL REFERENCES people (id),
    name         TEXT NOT NULL,
    -- It may do what its owner may, and no more than this role may there.
    role         TEXT NOT NULL,
    scope_kind   TEXT NOT NULL,
    scope        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX api_tokens_person ON api_tokens (person_id);

CREATE TABLE access_requests (
    id         TEXT PRIMARY KEY,
    email      TEXT NOT NULL,
    name       TEXT NOT NULL,
    message    TEXT NOT NULL,
    source     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('open', 'accepted', 'declined')),
    decided_by TEXT,
    decided_at BIGINT
);
CREATE INDEX access_requests_status ON access_requests (status, created_at);

-- Command lines that wait until a person lets them in (RFC 8628).
CREATE TABLE device_requests (
    id          TEXT PRIMARY KEY,
    user_code   TEXT NOT NULL UNIQUE,
    secret_hash TEXT NOT NULL UNIQUE,
    public_key  TEXT NOT NULL,
    name        TEXT NOT NULL,
    source      TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('waiting', 'approved', 'denied')),
    person_id   TEXT REFERENCES people (id),
    node_id     TEXT REFERENCES nodes (id),
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);

-- Who somebody is at a provider of sign-in.
CREATE TABLE person_identities (
    issuer    TEXT NOT NULL,
    subject   TEXT NOT NULL,
    person_id TEXT NOT NULL REFERENCES people (id),
    linked_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);

-- A person's own device is a node that acts for that person.
ALTER TABLE nodes ADD COLUMN person_id TEXT REFERENCES people (id);
CREATE INDEX nodes_person ON nodes (person_id) WHERE person_id IS NOT NULL;
