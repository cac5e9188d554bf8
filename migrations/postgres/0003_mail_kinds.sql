-- Mails that remind, that verify an address, and that tell an address that it is replaced.
ALTER TABLE mails DROP CONSTRAINT mails_kind_check;
ALTER TABLE mails ADD CONSTRAINT mails_kind_check
    CHECK (kind IN ('activation', 'reminder', 'email_verification', 'primary_email_changed'));
