-- Agents, hosts, runs and mails have numbers, since their runners call them so. The hub counts them.
CREATE TABLE agents_agents (
    id           BIGINT PRIMARY KEY,
    uuid         TEXT NOT NULL UNIQUE,
    username     TEXT NOT NULL,
    -- JSON, as runners read it.
    config       TEXT NOT NULL,
    -- Counts the changes of the configuration.
    revision     BIGINT NOT NULL,
    lead_id      BIGINT REFERENCES agents_agents (id),
    enabled      BIGINT NOT NULL,
    archived     BIGINT NOT NULL,
    -- The agent's own key, with which it fetches and brings files: sealed, since its runner is told it, and its hash.
    api_key      TEXT NOT NULL,
    api_key_hash TEXT NOT NULL UNIQUE,
    created_at   BIGINT NOT NULL,
    -- Why it may spend nothing at the moment.
    suspended    TEXT,
    -- What was spent before counts no more.
    spend_reset_at BIGINT,
    last_host_id   BIGINT,
    last_active_at BIGINT
);
-- A name is free again once its agent is kept for its history only.
CREATE UNIQUE INDEX agents_agents_username ON agents_agents (lower(username)) WHERE archived = 0;

CREATE TABLE agents_revisions (
    agent_id   BIGINT NOT NULL REFERENCES agents_agents (id),
    number     BIGINT NOT NULL,
    config     TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (agent_id, number)
);

CREATE TABLE agents_hosts (
    id             BIGINT PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    kind           TEXT NOT NULL,
    -- The node that it is; none for a host of which only its name is known.
    node_id        TEXT,
    restricted     BIGINT NOT NULL,
    -- How many agents may run there at once.
    capacity       BIGINT,
    shared_key     BIGINT NOT NULL,
    version        TEXT,
    last_address   TEXT,
    last_active_at BIGINT,
    created_at     BIGINT NOT NULL
);

CREATE TABLE agents_assignments (
    agent_id BIGINT NOT NULL REFERENCES agents_agents (id),
    host_id  BIGINT NOT NULL REFERENCES agents_hosts (id),
    PRIMARY KEY (agent_id, host_id)
);

CREATE TABLE agents_sessions (
    agent_id       BIGINT NOT NULL REFERENCES agents_agents (id),
    run            BIGINT NOT NULL,
    session        BIGINT NOT NULL,
    host_id        BIGINT REFERENCES agents_hosts (id),
    model          TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    last_active_at BIGINT NOT NULL,
    -- In nanodollars.
    cost           BIGINT NOT NULL,
    PRIMARY KEY (agent_id, run, session)
);
CREATE INDEX agents_sessions_run ON agents_sessions (run);

-- A cost of a session that the hub does not know is kept too: it was spent.
CREATE TABLE agents_costs (
    id          BIGINT PRIMARY KEY,
    agent_id    BIGINT NOT NULL REFERENCES agents_agents (id),
    run         BIGINT NOT NULL,
    session     BIGINT NOT NULL,
    host_id     BIGINT,
    source      TEXT NOT NULL,
    model       TEXT NOT NULL,
    -- In nanodollars.
    cost        BIGINT NOT NULL,
    input       BIGINT NOT NULL,
    output      BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    cache_read  BIGINT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX agents_costs_agent ON agents_costs (agent_id, created_at);
CREATE INDEX agents_costs_at ON agents_costs (created_at);

-- The last batch of costs that a host brought: one that comes again after a broken connection is not written again.
CREATE TABLE agents_batches (
    host_id BIGINT PRIMARY KEY,
    hash    TEXT NOT NULL
);

CREATE TABLE agents_attachments (
    id          BIGINT PRIMARY KEY,
    public_id   TEXT NOT NULL UNIQUE,
    -- SHA-256 of the content, which is also where it lies.
    hash        TEXT NOT NULL,
    filename    TEXT NOT NULL,
    size        BIGINT NOT NULL,
    purpose     TEXT NOT NULL,
    uploaded_by BIGINT NOT NULL REFERENCES agents_agents (id),
    created_at  BIGINT NOT NULL
);
CREATE INDEX agents_attachments_hash ON agents_attachments (hash);

CREATE TABLE agents_mails (
    id           BIGINT PRIMARY KEY,
    kind         TEXT NOT NULL,
    from_id      BIGINT NOT NULL REFERENCES agents_agents (id),
    host_id      BIGINT,
    -- The names of everybody in it, sorted, with commas between them: what a conversation is.
    participants TEXT NOT NULL,
    subject      TEXT NOT NULL,
    body         TEXT NOT NULL,
    created_at   BIGINT NOT NULL
);
CREATE INDEX agents_mails_participants ON agents_mails (participants, id);

CREATE TABLE agents_recipients (
    mail_id     BIGINT NOT NULL REFERENCES agents_mails (id),
    agent_id    BIGINT NOT NULL REFERENCES agents_agents (id),
    -- 'from' for the one who wrote it, 'to' for the others. Who writes to itself has one row, and reads it.
    role        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    read_at     BIGINT,
    archived_at BIGINT,
    PRIMARY KEY (mail_id, agent_id)
);
CREATE INDEX agents_recipients_agent ON agents_recipients (agent_id, kind, mail_id);
CREATE INDEX agents_recipients_unread ON agents_recipients (agent_id, mail_id) WHERE read_at IS NULL;

CREATE TABLE agents_mail_attachments (
    mail_id       BIGINT NOT NULL REFERENCES agents_mails (id),
    attachment_id BIGINT NOT NULL REFERENCES agents_attachments (id),
    PRIMARY KEY (mail_id, attachment_id)
);
CREATE INDEX agents_mail_attachments_file ON agents_mail_attachments (attachment_id);

CREATE TABLE agents_variables (
    key        TEXT PRIMARY KEY,
    -- Sealed.
    value      TEXT NOT NULL,
    exported   BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE agents_models (
    key      TEXT PRIMARY KEY,
    -- JSON, as runners read it.
    model    TEXT NOT NULL,
    -- Whether somebody changed or made it: then a later version of Nave does not.
    custom   BIGINT NOT NULL,
    position BIGINT NOT NULL
);
