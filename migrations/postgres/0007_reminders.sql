-- What a reminder is decided by stands in the user's own row, like what a purge is decided by.
ALTER TABLE users
    -- How many reminders were queued,
    ADD COLUMN reminder_count integer NOT NULL DEFAULT 0 CHECK (reminder_count >= 0),
    -- the latest rung of the ladder that a reminder was queued for, in days,
    ADD COLUMN ladder_day integer NOT NULL DEFAULT 0 CHECK (ladder_day >= 0),
    -- and when an activation mail or a reminder was last queued.
    ADD COLUMN last_mail_time timestamptz;
UPDATE users SET last_mail_time = queued.create_time
FROM (SELECT user_id, max(create_time) AS create_time FROM mails WHERE kind = 'activation' GROUP BY user_id) AS queued
WHERE id = queued.user_id;

-- Work that one of several servers does at a time: who is at it, until when at the latest, and when it was last done.
CREATE TABLE leases (
    work text COLLATE "C" PRIMARY KEY,
    holder uuid,
    expire_time timestamptz,
    run_time timestamptz,
    CONSTRAINT leases_holder CHECK ((holder IS NULL) = (expire_time IS NULL))
);
