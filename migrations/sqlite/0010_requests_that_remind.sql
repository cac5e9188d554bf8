-- What RemindUnverified answered a call with a request_id (X10).
ALTER TABLE requests ADD COLUMN remind_count integer;
ALTER TABLE requests ADD COLUMN remind_more integer;
