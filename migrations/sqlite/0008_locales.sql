-- What a user's mails are written in: a tag of BCP 47; null where nobody said, and then it is the site's.
ALTER TABLE users ADD COLUMN locale text;
