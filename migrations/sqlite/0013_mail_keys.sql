-- Which key a mail carries: without that key it is pointless, and is not sent. Null where a mail carries none, or was
-- queued before this was written down.
ALTER TABLE mails ADD COLUMN key_digest blob CHECK (length(key_digest) = 32);
