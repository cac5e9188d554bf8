-- Users, the addresses they claim, the keys issued to them, the mails that wait, and what happened.
--
-- Identity keys are computed by the service and compared byte by byte (collation "C"):
-- lower() and citext would call names equal that RFC 8265 does not.

CREATE TABLE users (
    id uuid PRIMARY KEY,
    username text NOT NULL,
    username_key text COLLATE "C" NOT NULL,
    password_hash text,
    state text COLLATE "C" NOT NULL CHECK (state IN ('PENDING', 'ACTIVE', 'DISABLED')),
    site text COLLATE "C" NOT NULL,
    create_time timestamptz NOT NULL,
    activate_time timestamptz,
    disable_time timestamptz,
    last_login_time timestamptz,
    -- What a purge or a list decides by stands in this row, so that locking it settles the matter:
    -- the primary address and whether it, or any address, is verified …
    email text COLLATE "C" NOT NULL,
    email_domain text COLLATE "C" NOT NULL,
    email_verified boolean NOT NULL,
    any_email_verified boolean NOT NULL,
    -- … and the registration profile, which is absent when profile_issue_time is null.
    profile_issue_time timestamptz,
    profile_expire_time timestamptz,
    profile_activate_time timestamptz,
    CONSTRAINT users_username_key UNIQUE (username_key),
    CONSTRAINT users_disable_time CHECK ((state = 'DISABLED') = (disable_time IS NOT NULL)),
    CONSTRAINT users_activate_time CHECK (state <> 'ACTIVE' OR activate_time IS NOT NULL),
    CONSTRAINT users_pending CHECK (state <> 'PENDING' OR (activate_time IS NULL AND profile_activate_time IS NULL)),
    CONSTRAINT users_email_verified CHECK (any_email_verified OR NOT email_verified),
    CONSTRAINT users_profile CHECK (
        (profile_issue_time IS NULL) = (profile_expire_time IS NULL)
        AND (profile_issue_time IS NOT NULL OR profile_activate_time IS NULL)
    )
);

-- ListUnverified walks one of these in the order (create_time, id).
CREATE INDEX users_unverified ON users (create_time, id) WHERE NOT email_verified;
CREATE INDEX users_unverified_email_domain ON users (email_domain, create_time, id) WHERE NOT email_verified;
CREATE INDEX users_unverified_site ON users (site, create_time, id) WHERE NOT email_verified;
-- PurgeExpired takes the longest expired first.
CREATE INDEX users_purgeable ON users (profile_expire_time, id)
    WHERE state = 'PENDING' AND NOT any_email_verified AND profile_expire_time IS NOT NULL;
CREATE INDEX users_purgeable_disabled ON users (profile_expire_time, id)
    WHERE state = 'DISABLED' AND profile_expire_time IS NOT NULL;
-- SendActivationEmail by email finds the pending claims of an address.
CREATE INDEX users_pending_email ON users (email, create_time, id) WHERE state = 'PENDING';

CREATE TABLE email_addresses (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    email text COLLATE "C" NOT NULL,
    is_primary boolean NOT NULL,
    create_time timestamptz NOT NULL,
    verify_time timestamptz,
    PRIMARY KEY (user_id, email)
);
CREATE UNIQUE INDEX email_addresses_primary ON email_addresses (user_id) WHERE is_primary;

-- Who has verified an address: at most one user. A row of its own, because an insert can lose
-- a race in silence (ON CONFLICT DO NOTHING), where an update would raise an error.
CREATE TABLE verified_email_addresses (
    email text COLLATE "C" PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE
);
CREATE INDEX verified_email_addresses_user_id ON verified_email_addresses (user_id);

-- The digest of every activation key that is not dead; the keys themselves are in no table.
CREATE TABLE activation_keys (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    -- The address the key was mailed to, and the only one it can verify.
    email text COLLATE "C" NOT NULL,
    issue_time timestamptz NOT NULL
);
CREATE INDEX activation_keys_user_id ON activation_keys (user_id, issue_time);

CREATE TABLE mails (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('activation')),
    recipient text NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('QUEUED', 'DELIVERED', 'DISCARDED')),
    -- Sealed; holds the only copy of a key, and is erased when the mail is done.
    sealed_text bytea,
    attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    next_attempt_time timestamptz NOT NULL,
    lease_expire_time timestamptz,
    claim_token uuid,
    last_error text,
    create_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    finish_time timestamptz,
    CONSTRAINT mails_finish_time CHECK ((state = 'QUEUED') = (finish_time IS NULL)),
    CONSTRAINT mails_sealed_text CHECK ((state = 'QUEUED') = (sealed_text IS NOT NULL)),
    CONSTRAINT mails_lease CHECK ((lease_expire_time IS NULL) = (claim_token IS NULL)),
    CONSTRAINT mails_lease_queued CHECK (state = 'QUEUED' OR claim_token IS NULL)
);
CREATE INDEX mails_queued ON mails (next_attempt_time, id) WHERE state = 'QUEUED';
CREATE INDEX mails_user_id ON mails (user_id, create_time);

-- No foreign key: an event outlives its user. It names the user by id and holds nothing else of theirs.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    create_time timestamptz NOT NULL,
    user_id uuid NOT NULL,
    mail_id uuid,
    deletion_reason text COLLATE "C",
    CONSTRAINT events_deletion_reason CHECK ((kind = 'user_deleted') = (deletion_reason IS NOT NULL)),
    CONSTRAINT events_mail_id CHECK (
        (kind IN ('activation_mail_sent', 'activation_mail_failed')) = (mail_id IS NOT NULL)
    )
);
