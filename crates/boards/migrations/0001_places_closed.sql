-- Places that are out of service, by name: a place is known only as long as its exporter is connected.
CREATE TABLE boards_closed (
    place     TEXT PRIMARY KEY,
    -- For those who want it.
    reason    TEXT NOT NULL,
    -- What people called whoever said so.
    closed_by TEXT NOT NULL,
    since     BIGINT NOT NULL
);
