-- When whoever got it began to ask for it; not known of older ones. How long people waited follows from it.
ALTER TABLE leases ADD COLUMN asked_at BIGINT;
-- All that is asked of leases for how things were used.
CREATE INDEX leases_usage ON leases (pool, ended_at, granted_at, asked_at, resource);
