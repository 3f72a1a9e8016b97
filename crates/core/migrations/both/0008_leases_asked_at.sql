-- When whoever got it began to ask for it; not known of older ones. How long people waited follows from it.
ALTER TABLE leases ADD COLUMN asked_at BIGINT;
