CREATE TABLE mails (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    recipient       TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'failed')),
    -- Sealed while it waits, gone once it was sent.
    content         TEXT,
    created_at      BIGINT NOT NULL,
    give_up_at      BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    -- Whether the server was the trouble: then it is tried again as soon as the server takes another mail.
    server_away     BIGINT NOT NULL,
    last_error      TEXT,
    sent_at         BIGINT
);
CREATE INDEX mails_due ON mails (state, next_attempt_at);
