-- Words of mails. Without content of its own: what it finds is read in agents_mails. It is filled from there, so that it can be
-- made anew at any time.
CREATE VIRTUAL TABLE agents_mail_derived USING fts5 (who, subject, body, content = '', tokenize = 'unicode61');
