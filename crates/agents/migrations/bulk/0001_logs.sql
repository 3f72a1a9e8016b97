-- Lines of logs are many, and no mail is lost with them: they lie apart from the rest.
CREATE TABLE agents_log_lines (
    id         BIGINT PRIMARY KEY,
    agent_id   BIGINT NOT NULL,
    run        BIGINT NOT NULL,
    session    BIGINT NOT NULL,
    host_id    BIGINT,
    role       TEXT NOT NULL,
    source     TEXT,
    kind       TEXT,
    message    TEXT NOT NULL,
    attachment BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX agents_log_lines_session ON agents_log_lines (agent_id, run, session, id);

-- What is known of a log without reading it. A session that the hub does not know has one too.
CREATE TABLE agents_logs (
    agent_id       BIGINT NOT NULL,
    run            BIGINT NOT NULL,
    session        BIGINT NOT NULL,
    latest_id      BIGINT NOT NULL,
    lines          BIGINT NOT NULL,
    last_active_at BIGINT NOT NULL,
    PRIMARY KEY (agent_id, run, session)
);
CREATE INDEX agents_logs_latest ON agents_logs (agent_id, latest_id);

-- The last batch of lines that a host brought: one that comes again after a broken connection is not written again.
CREATE TABLE agents_log_batches (
    host_id BIGINT PRIMARY KEY,
    hash    TEXT NOT NULL
);
