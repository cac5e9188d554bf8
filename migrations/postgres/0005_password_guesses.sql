-- Failures in a row at one name, whether there is such a user or not; the digest tells nobody which name it is.
CREATE TABLE password_guesses (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    failure_count bigint NOT NULL CHECK (failure_count > 0),
    -- When the next guess is let in.
    retry_time timestamptz NOT NULL,
    -- When the row means nothing any more.
    expire_time timestamptz NOT NULL
);
-- A new row deletes some whose time is over.
CREATE INDEX password_guesses_expire_time ON password_guesses (expire_time);
