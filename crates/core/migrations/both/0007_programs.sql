-- What the hub signs ID tokens with. The newest signs; older ones are published until what they signed has ended.
CREATE TABLE signing_keys (
    id          TEXT PRIMARY KEY,
    -- PKCS #8, sealed.
    private_key TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);

-- Programs into which people signed in with their account here.
CREATE TABLE program_sign_ins (
    id           TEXT PRIMARY KEY,
    person_id    TEXT NOT NULL REFERENCES people (id),
    -- Which program: its client_id.
    program      TEXT NOT NULL,
    -- Where the program was when its person agreed.
    address      TEXT NOT NULL,
    -- What the program sent along, to be told again and to be proved: see RFC 7636.
    nonce        TEXT NOT NULL,
    challenge    TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
);
CREATE INDEX program_sign_ins_person ON program_sign_ins (person_id);

-- What a program shows to get a token: a code at first, then refresh tokens, each good once. Those that were used are
-- kept, so that whoever uses one again is noticed.
CREATE TABLE program_secrets (
    secret_hash TEXT PRIMARY KEY,
    sign_in_id  TEXT NOT NULL REFERENCES program_sign_ins (id),
    kind        TEXT NOT NULL CHECK (kind IN ('code', 'refresh')),
    expires_at  BIGINT NOT NULL,
    used        BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX program_secrets_sign_in ON program_secrets (sign_in_id);
