-- The event log. One transaction writes at a time, so an event's id is its number.

-- One row.
CREATE TABLE event_log (
    id integer PRIMARY KEY CHECK (id = 1),
    -- Part of every position; another one after a restore.
    log_id blob NOT NULL CHECK (length(log_id) = 16),
    -- The last number that was trimmed away; 0 before the first.
    trimmed_number integer NOT NULL CHECK (trimmed_number >= 0)
) STRICT;
INSERT INTO event_log (id, log_id, trimmed_number) VALUES (1, randomblob(16), 0);
