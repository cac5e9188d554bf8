-- What a reminder is decided by stands in the user's own row, like what a purge is decided by.
-- How many reminders were queued,
ALTER TABLE users ADD COLUMN reminder_count integer NOT NULL DEFAULT 0 CHECK (reminder_count >= 0);
-- the latest rung of the ladder that a reminder was queued for, in days,
ALTER TABLE users ADD COLUMN ladder_day integer NOT NULL DEFAULT 0 CHECK (ladder_day >= 0);
-- and when an activation mail or a reminder was last queued.
ALTER TABLE users ADD COLUMN last_mail_time integer;
UPDATE users SET last_mail_time =
    (SELECT max(create_time) FROM mails WHERE user_id = users.id AND kind = 'activation');

-- Work that one of several servers does at a time: who is at it, until when at the latest, and when it was last done.
CREATE TABLE leases (
    work text PRIMARY KEY NOT NULL,
    holder blob,
    expire_time integer,
    run_time integer,
    CONSTRAINT leases_holder CHECK ((holder IS NULL) = (expire_time IS NULL))
) STRICT;
