-- Where decisions are sent, and what became of sending them.

CREATE TABLE webhooks (
    number          INTEGER PRIMARY KEY,
    site            INTEGER NOT NULL REFERENCES sites (number),
    id              BLOB    NOT NULL UNIQUE, -- UUID
    uri             TEXT    NOT NULL,
    secret          BLOB    NOT NULL,        -- signs, so it cannot be a hash
    previous_secret BLOB,                    -- signs too, until its time
    previous_until  INTEGER,
    disabled        INTEGER NOT NULL DEFAULT 0,
    position        INTEGER NOT NULL,        -- the last of decided_comments that is in a delivery
    revision        INTEGER NOT NULL,
    create_time     INTEGER NOT NULL,
    akismet_key     TEXT                     -- of a callback of Akismet's client, which wants it
) STRICT;

CREATE INDEX webhooks_by_site ON webhooks (site, number);

-- A message: the decided comments of the site from one position to another.
CREATE TABLE deliveries (
    number            INTEGER PRIMARY KEY,
    webhook           INTEGER NOT NULL REFERENCES webhooks (number) ON DELETE CASCADE,
    id                BLOB    NOT NULL UNIQUE, -- UUID
    first_position    INTEGER NOT NULL,
    last_position     INTEGER NOT NULL,
    decision_count    INTEGER NOT NULL,
    state             TEXT    NOT NULL,        -- pending, delivered or dead
    replay            INTEGER NOT NULL DEFAULT 0,
    attempt_count     INTEGER NOT NULL DEFAULT 0,
    create_time       INTEGER NOT NULL,
    begin_time        INTEGER NOT NULL,        -- when its attempts began; a replay begins anew
    attempt_time      INTEGER,                 -- of the last attempt
    next_attempt_time INTEGER,                 -- while it is pending
    status            INTEGER,                 -- of HTTP, of the last attempt
    failure           TEXT                     -- the word for why the last attempt failed
) STRICT;

-- The comments that a client of Akismet asked to be called back about.
CREATE TABLE akismet_waits (
    webhook INTEGER NOT NULL REFERENCES webhooks (number) ON DELETE CASCADE,
    comment BLOB    NOT NULL,
    page_id TEXT    NOT NULL, -- the client's own number of the page
    PRIMARY KEY (webhook, comment)
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_by_webhook ON deliveries (webhook, state, number);
