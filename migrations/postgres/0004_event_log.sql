-- The event log: committed events get a number each, and are read by it. Neither an event's id nor its transaction's
-- would do: ids become visible out of order, and transactions begin in another order than they lock a user.
ALTER TABLE events ADD COLUMN number bigint CHECK (number > 0);
-- Whoever numbers takes the lowest ids first.
CREATE INDEX events_unnumbered ON events (id) WHERE number IS NULL;
CREATE UNIQUE INDEX events_number ON events (number) WHERE number IS NOT NULL;

-- One row. Whoever numbers or trims holds it, and no act does.
CREATE TABLE event_log (
    id integer PRIMARY KEY CHECK (id = 1),
    -- Part of every position; another one after a restore.
    log_id uuid NOT NULL,
    -- The last number that was trimmed away; 0 before the first.
    trimmed_number bigint NOT NULL CHECK (trimmed_number >= 0)
);
INSERT INTO event_log (id, log_id, trimmed_number) VALUES (1, gen_random_uuid(), 0);
