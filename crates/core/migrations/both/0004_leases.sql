CREATE TABLE lease_pools (
    name     TEXT PRIMARY KEY,
    -- The hub that gives this pool's resources out, and how often the owner changed: an act under an older number is refused.
    owner    TEXT NOT NULL,
    epoch    BIGINT NOT NULL,
    taken_at BIGINT NOT NULL
);

CREATE TABLE leases (
    id          TEXT PRIMARY KEY,
    pool        TEXT NOT NULL REFERENCES lease_pools (name),
    resource    TEXT NOT NULL,
    -- Who holds it, and how people call that.
    holder_kind TEXT NOT NULL,
    holder      TEXT NOT NULL,
    holder_name TEXT NOT NULL,
    -- Where the holder was when it got the lease.
    address     TEXT,
    -- The pool's epoch under which it was given.
    epoch       BIGINT NOT NULL,
    granted_at  BIGINT NOT NULL,
    expires_at  BIGINT,
    ended_at    BIGINT,
    end_reason  TEXT
);
-- Never two holders, whatever the hub believes.
CREATE UNIQUE INDEX leases_held ON leases (pool, resource) WHERE ended_at IS NULL;
CREATE INDEX leases_ended ON leases (pool, ended_at);
