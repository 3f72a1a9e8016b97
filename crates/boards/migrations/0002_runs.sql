-- Commands that exporters ran for places; the last ones of each place are kept.
CREATE TABLE boards_runs (
    place       TEXT NOT NULL,
    began       BIGINT NOT NULL,
    -- Why it was run: before, after, power_on, power_off, power_cycle.
    occasion    TEXT NOT NULL,
    -- The lease that it is about.
    reservation TEXT,
    -- What people called whoever had the place, or switched its power.
    holder      TEXT NOT NULL,
    ended       BIGINT NOT NULL,
    -- done, failed, timed_out, not_started.
    outcome     TEXT NOT NULL,
    -- The exit status, where it had one.
    status      BIGINT,
    -- Text without control characters, of at most 16 KiB.
    output      TEXT NOT NULL,
    -- What an exporter tells twice is kept once.
    PRIMARY KEY (place, began, occasion)
);

CREATE INDEX boards_runs_ended ON boards_runs (ended);
