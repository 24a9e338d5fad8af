-- Sites, keys, comments, labels and the audit log.
--
-- Times are milliseconds since 1970 (UTC). Fingerprints and UUIDs are blobs of 16 bytes. Hashes of
-- 64 bits are kept in the signed column type, bit for bit. No column holds an e-mail address or an IP.
-- `migrations/postgres/` has the same numbers and names.

CREATE TABLE sites (
    number       INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    display_name TEXT    NOT NULL,
    secret       BLOB    NOT NULL,
    policy       TEXT    NOT NULL, -- JSON
    revision     INTEGER NOT NULL,
    create_time  INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
    number       INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL UNIQUE,
    site         INTEGER NOT NULL REFERENCES sites (number),
    hash         BLOB    NOT NULL UNIQUE, -- SHA-256 of the key
    scopes       TEXT    NOT NULL,        -- JSON array
    display_name TEXT    NOT NULL,
    create_time  INTEGER NOT NULL,
    revoke_time  INTEGER
) STRICT;

CREATE INDEX keys_by_site ON keys (site, create_time);

-- The columns are what queues and reports filter or sort by; `body` (protobuf, `src/storage/record.rs`)
-- has the rest.
CREATE TABLE comments (
    number        INTEGER PRIMARY KEY,
    site          INTEGER NOT NULL REFERENCES sites (number),
    id            BLOB    NOT NULL, -- UUIDv7: sorts by check time
    check_time    INTEGER NOT NULL,
    verdict       TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    discard       INTEGER NOT NULL,
    probability   REAL,             -- of spam; none if no model scored
    model_version TEXT,
    author        BLOB,             -- fingerprint of the folded address
    ip            BLOB,             -- fingerprint
    ip_prefix     BLOB,             -- fingerprint
    page_uri      TEXT,
    lang          TEXT,
    content_hash  INTEGER NOT NULL,
    simhash       BLOB NOT NULL,
    label         TEXT,             -- the last one; the ledger has them all
    label_time    INTEGER,
    body          BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX comments_by_id ON comments (site, id);
CREATE INDEX comments_labelled ON comments (site, label_time) WHERE label IS NOT NULL;

-- Request ids of the last 24 hours (AIP-155). Ids are random, so the hour stands in front: what is written
-- lies close together, and what expired is at one end, where it is removed little by little. To find an id,
-- each hour is looked at.
CREATE TABLE requests (
    hour    INTEGER NOT NULL, -- of `time`, since 1970
    site    INTEGER NOT NULL REFERENCES sites (number),
    id      BLOB    NOT NULL,
    time    INTEGER NOT NULL,
    digest  BLOB    NOT NULL,
    comment BLOB    NOT NULL,
    PRIMARY KEY (hour, site, id)
) STRICT, WITHOUT ROWID;

-- How each author fared; kept in the transaction that changes a comment.
CREATE TABLE author_records (
    site             INTEGER NOT NULL REFERENCES sites (number),
    author           BLOB    NOT NULL,
    approved_count   INTEGER NOT NULL DEFAULT 0,
    held_count       INTEGER NOT NULL DEFAULT 0,
    rejected_count   INTEGER NOT NULL DEFAULT 0,
    spam_label_count INTEGER NOT NULL DEFAULT 0,
    ham_label_count  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (site, author)
) STRICT, WITHOUT ROWID;

-- The label ledger: what people said, in the order they said it.
CREATE TABLE labels (
    position      INTEGER PRIMARY KEY AUTOINCREMENT,
    site          INTEGER NOT NULL REFERENCES sites (number),
    comment       BLOB    NOT NULL,
    label         TEXT    NOT NULL,
    reporter      TEXT    NOT NULL,
    reporter_name TEXT,
    note          TEXT,
    time          INTEGER NOT NULL
) STRICT;

CREATE INDEX labels_by_site ON labels (site, position);

CREATE TABLE audit_entries (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    site     INTEGER REFERENCES sites (number),
    time     INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    before   TEXT,
    after    TEXT,
    note     TEXT
) STRICT;

CREATE INDEX audit_entries_by_site ON audit_entries (site, position);

CREATE TRIGGER audit_entries_are_not_changed BEFORE UPDATE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_entries_are_not_removed BEFORE DELETE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- One row that readiness probes write to.
CREATE TABLE pings (
    number INTEGER PRIMARY KEY,
    count  INTEGER NOT NULL
) STRICT;

INSERT INTO pings (number, count) VALUES (1, 0);
