-- The end of an agent's log, whatever session its lines are of: without this, that of an agent which is quiet for long is looked
-- for among everybody's.
CREATE INDEX agents_log_lines_agent ON agents_log_lines (agent_id, id);
