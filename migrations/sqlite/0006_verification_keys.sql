-- The digest of every key that verifies an email address. A table of its own, so that such a key never activates,
-- and an activation key never verifies here.
CREATE TABLE verification_keys (
    digest blob PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    -- The address the key was mailed to, and the only one it can verify, for this user alone …
    user_id blob NOT NULL,
    email text NOT NULL,
    issue_time integer NOT NULL,
    expire_time integer NOT NULL,
    -- … so that it goes when the address goes.
    CONSTRAINT verification_keys_email FOREIGN KEY (user_id, email) REFERENCES email_addresses ON DELETE CASCADE
) STRICT;
CREATE INDEX verification_keys_user_id ON verification_keys (user_id, email, issue_time);
