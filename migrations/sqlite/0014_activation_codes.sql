-- The code that the newest activation mail of a user carries beside its link. It stands for the key in that mail, and
-- goes when the key goes. There is only a hash of it, which takes a secret outside the database to make.
CREATE TABLE activation_codes (
    user_id blob PRIMARY KEY NOT NULL,
    key_digest blob NOT NULL UNIQUE REFERENCES activation_keys ON DELETE CASCADE,
    -- The address that the mail went to, which is what the code is looked up by.
    email text NOT NULL,
    code_hash blob NOT NULL CHECK (length(code_hash) = 32),
    -- With how many guesses it was compared: counted before, so that no number of guesses at once gets more.
    try_count integer NOT NULL DEFAULT 0 CHECK (try_count >= 0),
    issue_time integer NOT NULL,
    expire_time integer NOT NULL
) STRICT;
CREATE INDEX activation_codes_email ON activation_codes (email, issue_time);
-- Those whose time is over are forgotten.
CREATE INDEX activation_codes_expire_time ON activation_codes (expire_time);

-- How many guesses were made at the codes of an address, whether there are any or not; the counter is a MAC of the
-- address, and tells nobody which it is.
CREATE TABLE activation_code_guesses (
    counter blob PRIMARY KEY NOT NULL CHECK (length(counter) = 32),
    guess_count integer NOT NULL CHECK (guess_count >= 0),
    -- When the row means nothing any more.
    expire_time integer NOT NULL
) STRICT;
CREATE INDEX activation_code_guesses_expire_time ON activation_code_guesses (expire_time);
