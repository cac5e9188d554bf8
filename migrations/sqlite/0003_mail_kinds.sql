-- Mails that remind, that verify an address, and that tell an address that it is replaced.
-- SQLite can't change a check: the table is made anew.
CREATE TABLE new_mails (
    id blob PRIMARY KEY NOT NULL,
    user_id blob NOT NULL REFERENCES users ON DELETE CASCADE,
    kind text NOT NULL CHECK (
        kind IN ('activation', 'reminder', 'email_verification', 'primary_email_changed')
    ),
    recipient text NOT NULL,
    state text NOT NULL CHECK (state IN ('QUEUED', 'DELIVERED', 'DISCARDED')),
    -- Sealed; holds the only copy of a key, and is erased when the mail is done.
    sealed_text blob,
    attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    next_attempt_time integer NOT NULL,
    lease_expire_time integer,
    claim_token blob,
    last_error text,
    create_time integer NOT NULL,
    expire_time integer NOT NULL,
    finish_time integer,
    CONSTRAINT mails_finish_time CHECK ((state = 'QUEUED') = (finish_time IS NULL)),
    CONSTRAINT mails_sealed_text CHECK ((state = 'QUEUED') = (sealed_text IS NOT NULL)),
    CONSTRAINT mails_lease CHECK ((lease_expire_time IS NULL) = (claim_token IS NULL)),
    CONSTRAINT mails_lease_queued CHECK (state = 'QUEUED' OR claim_token IS NULL)
) STRICT;

INSERT INTO new_mails (
    id, user_id, kind, recipient, state, sealed_text, attempt, next_attempt_time, lease_expire_time, claim_token,
    last_error, create_time, expire_time, finish_time
)
SELECT
    id, user_id, kind, recipient, state, sealed_text, attempt, next_attempt_time, lease_expire_time, claim_token,
    last_error, create_time, expire_time, finish_time
FROM mails;
DROP TABLE mails;
ALTER TABLE new_mails RENAME TO mails;
CREATE INDEX mails_queued ON mails (next_attempt_time, id) WHERE state = 'QUEUED';
CREATE INDEX mails_user_id ON mails (user_id, create_time);
