-- Devices that users have logged in from: guesses from one are counted apart from those of everybody else. The digest
-- tells neither the device nor the name that it is known for.
CREATE TABLE known_devices (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    -- When the device is a stranger again.
    expire_time timestamptz NOT NULL
);
-- The devices of one user: they go with it, and the one that expires first gives way to a further one.
CREATE INDEX known_devices_user_id ON known_devices (user_id, expire_time);
-- Those whose time is over are forgotten.
CREATE INDEX known_devices_expire_time ON known_devices (expire_time);
