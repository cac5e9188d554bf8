-- Failures in a row at one name, whether there is such a user or not; the digest tells nobody which name it is.
CREATE TABLE password_guesses (
    digest blob PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    failure_count integer NOT NULL CHECK (failure_count > 0),
    -- When the next guess is let in.
    retry_time integer NOT NULL,
    -- When the row means nothing any more.
    expire_time integer NOT NULL
) STRICT;
-- A new row deletes some whose time is over.
CREATE INDEX password_guesses_expire_time ON password_guesses (expire_time);
