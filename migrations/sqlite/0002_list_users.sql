-- ListUsers walks one of these in the order (create_time, id), or users_username_key in the order of usernames.
CREATE INDEX users_create_time ON users (create_time, id);
CREATE INDEX users_state ON users (state, create_time, id);
