-- Words of mails: who is in it (weight A), its subject (B), its text (C). It is filled from agents_mails, so that it can be made anew
-- at any time.
CREATE TABLE agents_mail_words (
    mail_id BIGINT PRIMARY KEY,
    words   TSVECTOR NOT NULL
);
CREATE INDEX agents_mail_words_words ON agents_mail_words USING GIN (words);
