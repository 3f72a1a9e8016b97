-- Leases that begin later. One that has begun is a lease; its row here has ended then.
CREATE TABLE lease_bookings (
    id          TEXT PRIMARY KEY,
    pool        TEXT NOT NULL REFERENCES lease_pools (name),
    resource    TEXT NOT NULL,
    -- Who will hold it, and how people call that.
    holder_kind TEXT NOT NULL,
    holder      TEXT NOT NULL,
    holder_name TEXT NOT NULL,
    label       TEXT NOT NULL,
    made_at     BIGINT NOT NULL,
    starts_at   BIGINT NOT NULL,
    ends_at     BIGINT NOT NULL,
    ended_at    BIGINT,
    end_reason  TEXT
);
CREATE INDEX lease_bookings_standing ON lease_bookings (pool, starts_at) WHERE ended_at IS NULL;
CREATE INDEX lease_bookings_ended ON lease_bookings (ended_at);
