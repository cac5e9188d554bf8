-- What was done for a call that brought a request_id, so that it is done once (X10). No foreign key: the record outlives
-- its user, of whom it holds the id and times, and nothing that was asked but a MAC of it.
CREATE TABLE requests (
    -- The space that the id is in: the caller's name, empty for callers without one.
    caller text NOT NULL,
    request_id blob NOT NULL,
    fields_mac blob NOT NULL CHECK (length(fields_mac) = 32),
    create_time integer NOT NULL,
    user_id blob,
    expire_time integer,
    site text,
    mails_delivered integer,
    last_mail_state text,
    PRIMARY KEY (caller, request_id)
) STRICT;
-- The oldest are forgotten first.
CREATE INDEX requests_create_time ON requests (create_time);

-- ListMails walks one of these, or mails_user_id, in the order (create_time, id).
CREATE INDEX mails_create_time ON mails (create_time, id);
CREATE INDEX mails_state ON mails (state, create_time, id);
CREATE INDEX mails_recipient ON mails (recipient, create_time, id);
DROP INDEX mails_user_id;
CREATE INDEX mails_user_id ON mails (user_id, create_time, id);

-- How many mails were asked for: a row for each address, and several for each caller and for all, in each ten minutes.
-- No address and no name stands here, only a MAC of it, so that nothing is told of anybody who was purged.
CREATE TABLE mail_counts (
    counter blob NOT NULL CHECK (length(counter) = 32),
    start_time integer NOT NULL,
    -- Calls that add to one row come one after the other: where there are many, they are spread over several.
    shard integer NOT NULL,
    count integer NOT NULL CHECK (count > 0),
    PRIMARY KEY (counter, start_time, shard)
) STRICT;
CREATE INDEX mail_counts_start_time ON mail_counts (start_time);
