-- Where a name comes from under the shared access key; nobody else may use it until it is released.
ALTER TABLE access_key_names ADD COLUMN address TEXT NOT NULL DEFAULT '';
CREATE INDEX access_key_names_node ON access_key_names (node_id);
