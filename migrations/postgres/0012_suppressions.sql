-- Addresses that get no mail, since mail to them has bounced for good. No foreign key: this is about a mailbox, and
-- outlives the users who claimed it and the mails that went there.
CREATE TABLE suppressions (
    email text COLLATE "C" PRIMARY KEY,
    create_time timestamptz NOT NULL,
    -- The latest bounce: when it was reported, what was said, and of which mail if that is known.
    last_bounce_time timestamptz NOT NULL,
    reason text NOT NULL,
    mail_id uuid
);
