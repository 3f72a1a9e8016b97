-- When something happened last, and everything of one kind, however seldom it is.
CREATE INDEX events_action ON events (action, id);
