-- When each key was last used, to the minute or so.
ALTER TABLE keys ADD COLUMN use_time BIGINT;
