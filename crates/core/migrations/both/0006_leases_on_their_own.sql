-- Whether a lease ends with its holder's connection; others stand until they are returned or expire.
ALTER TABLE leases ADD COLUMN bound BIGINT NOT NULL DEFAULT 1;
-- What its holder calls it.
ALTER TABLE leases ADD COLUMN label TEXT NOT NULL DEFAULT '';
-- What happened to one resource, the newest first.
CREATE INDEX leases_past ON leases (pool, resource, ended_at);
