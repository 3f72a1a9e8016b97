-- Words of mails: who is in it (weight A), its subject (B), its text (C). It is filled from agents_mails, so that it can be made anew
-- at any time.
CREATE TABLE agents_mail_derived (
    mail_id BIGINT PRIMARY KEY,
    words   TSVECTOR NOT NULL
);
CREATE INDEX agents_mail_derived_words ON agents_mail_derived USING GIN (words);
