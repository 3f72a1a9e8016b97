CREATE TABLE tasks (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,
    -- What the task is about, for whoever puts it: there is one unfinished task of a kind with it.
    key           TEXT NOT NULL,
    -- The node that shall do it; without one, whichever takes it.
    node_id       TEXT,
    payload       TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('queued', 'taken', 'finished', 'failed', 'cancelled')),
    -- How often it was taken: a result counts for the attempt that it names and for no other.
    attempt       BIGINT NOT NULL DEFAULT 0,
    put_at        BIGINT NOT NULL,
    put_by_kind   TEXT NOT NULL,
    put_by        TEXT NOT NULL,
    put_by_name   TEXT NOT NULL,
    -- When this state began, by the clock of that time.
    since         BIGINT NOT NULL,
    -- Queued: not to be taken before, 0 for at once. Taken: when its time is over.
    due_at        BIGINT NOT NULL,
    taken_by      TEXT,
    taken_by_name TEXT,
    ended_at      BIGINT,
    result        TEXT,
    -- Why the last attempt failed.
    error         TEXT
);
CREATE UNIQUE INDEX tasks_unfinished ON tasks (kind, key) WHERE state IN ('queued', 'taken');
CREATE INDEX tasks_due ON tasks (kind, state, due_at) WHERE state IN ('queued', 'taken');
CREATE INDEX tasks_taken_by ON tasks (taken_by) WHERE state = 'taken';
CREATE INDEX tasks_node ON tasks (node_id, id);
CREATE INDEX tasks_ended ON tasks (kind, ended_at);
