-- The tables of a NAISYS hub (version 34 of its schema) as far as its contract names them, with what a small farm leaves there.
CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, username TEXT NOT NULL, title TEXT NOT NULL DEFAULT '',
    api_key TEXT UNIQUE, lead_user_id INTEGER REFERENCES users (id), config TEXT NOT NULL, enabled BOOLEAN NOT NULL DEFAULT true,
    archived BOOLEAN NOT NULL DEFAULT false, created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL);
CREATE TABLE user_notifications (user_id INTEGER PRIMARY KEY, latest_host_id INTEGER, latest_log_id INTEGER NOT NULL DEFAULT 0,
    latest_mail_id INTEGER NOT NULL DEFAULT 0, cost_suspended_reason TEXT, budget_left DECIMAL, updated_at DATETIME NOT NULL);
CREATE TABLE hosts (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, restricted BOOLEAN NOT NULL DEFAULT false,
    host_type TEXT NOT NULL DEFAULT 'naisys', last_ip TEXT, last_active DATETIME, created_at DATETIME NOT NULL);
CREATE TABLE user_hosts (user_id INTEGER NOT NULL, host_id INTEGER NOT NULL, PRIMARY KEY (user_id, host_id));
CREATE TABLE run_session (user_id INTEGER NOT NULL, run_id INTEGER NOT NULL, session_id INTEGER NOT NULL, host_id INTEGER,
    model_name TEXT NOT NULL, last_active DATETIME, latest_log_id INTEGER NOT NULL DEFAULT 0, total_lines INTEGER NOT NULL DEFAULT 0,
    total_cost REAL NOT NULL DEFAULT 0, created_at DATETIME NOT NULL, PRIMARY KEY (user_id, run_id, session_id));
CREATE TABLE context_log (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, run_id INTEGER NOT NULL, session_id INTEGER NOT NULL,
    host_id INTEGER, role TEXT NOT NULL, source TEXT, type TEXT, message TEXT NOT NULL, attachment_id INTEGER, created_at DATETIME NOT NULL);
CREATE TABLE costs (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, run_id INTEGER NOT NULL, session_id INTEGER NOT NULL, host_id INTEGER,
    source TEXT NOT NULL, model TEXT NOT NULL, cost REAL NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL, cache_read_tokens INTEGER NOT NULL, created_at DATETIME NOT NULL);
CREATE TABLE mail_messages (id INTEGER PRIMARY KEY, from_user_id INTEGER NOT NULL, host_id INTEGER, kind TEXT NOT NULL, participants TEXT NOT NULL,
    subject TEXT NOT NULL, body TEXT NOT NULL, created_at DATETIME NOT NULL);
CREATE TABLE mail_recipients (id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL, user_id INTEGER NOT NULL, type TEXT NOT NULL,
    read_at DATETIME, archived_at DATETIME, created_at DATETIME NOT NULL);
CREATE TABLE attachments (id INTEGER PRIMARY KEY, public_id TEXT UNIQUE, filepath TEXT NOT NULL, filename TEXT NOT NULL, file_size INTEGER NOT NULL,
    file_hash TEXT NOT NULL, purpose TEXT NOT NULL, uploaded_by INTEGER NOT NULL, created_at DATETIME NOT NULL);
CREATE TABLE mail_attachments (message_id INTEGER NOT NULL, attachment_id INTEGER NOT NULL, PRIMARY KEY (message_id, attachment_id));
CREATE TABLE variables (key TEXT PRIMARY KEY, value TEXT NOT NULL, export_to_shell BOOLEAN NOT NULL DEFAULT false, created_by TEXT NOT NULL);
CREATE TABLE models (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, type TEXT NOT NULL, label TEXT NOT NULL, version_name TEXT NOT NULL,
    is_builtin BOOLEAN NOT NULL, is_custom BOOLEAN NOT NULL, meta TEXT NOT NULL);
CREATE TABLE schema_version (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, updated_at DATETIME NOT NULL);
INSERT INTO schema_version VALUES (1, 34, '2026-11-23T07:13:16.613Z');

INSERT INTO users (id, uuid, username, title, api_key, lead_user_id, config, enabled, created_at, updated_at) VALUES
    (1, 'u-1', 'mocky', 'Mock Agent', 'e2274f705f3014e82948c8105f5cb62e56c739a4752f21b42920c5c9824f0f05', NULL,
     '{"username":"mocky","title":"Mock Agent","agentPrompt":"You are mocky","tokenMax":20000,"shellModel":"mock","spendLimitDollars":1}', 1,
     '2026-11-23T07:13:16.613+00:00', '2026-11-23T07:13:16.613+00:00'),
    (2, 'u-2', 'admin', 'Admin', '5a612d9a5225e709852aab05e1e6080158c511bccdc3ff542dc4455d6a41c206', NULL,
     '{"username":"admin","title":"Admin","agentPrompt":"Human","tokenMax":100000,"shellModel":"none"}', 1,
     '2026-11-23T07:13:16.613+00:00', '2026-11-23T07:13:16.613+00:00'),
    (3, 'u-3', 'mocky', 'Again', NULL, 1, '{"username":"mocky","title":"Again","tokenMax":0}', 1,
     '2026-11-23T07:13:16.613+00:00', '2026-11-23T07:13:16.613+00:00');
INSERT INTO user_notifications (user_id, cost_suspended_reason, updated_at) VALUES
    (1, 'Spend limit of $1 reached (current: $1.10)', '2026-11-23T07:13:16.613+00:00');
INSERT INTO hosts VALUES (1, 'BOX-1', 0, 'naisys', '::ffff:10.0.0.7', '2026-11-23T07:40:00.000+00:00', '2026-11-23T07:13:16.613+00:00'),
    (2, 'SUPERVISOR', 0, 'supervisor', NULL, NULL, '2026-11-23T07:13:16.613+00:00');
INSERT INTO user_hosts VALUES (1, 1), (9, 1);
INSERT INTO run_session VALUES (1, 4, 1, 1, 'mock', '2026-11-23T07:40:00.000+00:00', 2, 3, 1.1, '2026-11-23T07:39:00.000+00:00');
INSERT INTO context_log VALUES (1, 1, 4, 1, 1, 'NAISYS', NULL, 'comment', 'AGENT STARTED', NULL, '2026-11-23T07:39:18.437+00:00'),
    (2, 1, 4, 1, 1, 'LLM', 'llm', NULL, 'two' || char(10) || 'lines', 1, '2026-11-23T07:39:19.437+00:00');
INSERT INTO costs VALUES (1, 1, 4, 1, 1, 'console', 'mock', 1.1, 10, 5, 0, 0, '2026-11-23T07:39:20.000+00:00'),
    (2, 9, 4, 1, 1, 'console', 'mock', 1.0, 10, 5, 0, 0, '2026-11-23T07:39:20.000+00:00');
INSERT INTO mail_messages VALUES (7, 2, NULL, 'mail', 'admin,mocky', 'subj one', 'body one', '2026-11-23T07:41:15.633+00:00'),
    (8, 1, 1, 'chat', 'mocky', '', 'to myself', '2026-11-23T07:42:15.633+00:00');
INSERT INTO mail_recipients (message_id, user_id, type, read_at, created_at) VALUES
    (7, 1, 'to', NULL, '2026-11-23T07:41:15.633+00:00'), (7, 2, 'from', '2026-11-23T07:41:15.633+00:00', '2026-11-23T07:41:15.633+00:00'),
    (8, 1, 'from', '2026-11-23T07:42:15.633+00:00', '2026-11-23T07:42:15.633+00:00'), (8, 1, 'to', NULL, '2026-11-23T07:42:15.633+00:00');
INSERT INTO attachments VALUES (1, 'abcdefghij', '/elsewhere/8f/43/8f43', 'hi.txt', 2,
    '8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4', 'mail', 2, '2026-11-23T07:41:00.000+00:00');
INSERT INTO mail_attachments VALUES (7, 1);
INSERT INTO variables VALUES ('SPEND_LIMIT_DOLLARS', '5', 0, 'hub'), ('HUB_PORT', '4500', 0, 'hub'), ('MY_VAR', 'hello', 1, 'hub');
INSERT INTO models VALUES (1, 'own', 'llm', 'Own', 'own-1', 0, 1,
    '{"apiType":"openai","maxTokens":1000,"apiKeyVar":"OWN_KEY","inputCost":1,"outputCost":2,"baseUrl":null}'),
    (2, 'mock', 'llm', 'Mock', 'mock', 1, 0, '{}');
