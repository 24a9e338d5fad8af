-- Models of sites, and what they are trained on besides the site's own comments.

-- A retraction is an entry of the ledger that names the one it takes back.
ALTER TABLE labels ADD COLUMN retracts INTEGER REFERENCES labels (position);
CREATE INDEX labels_by_retracted ON labels (retracts) WHERE retracts IS NOT NULL;
CREATE INDEX labels_by_comment ON labels (site, comment, position);

-- Labelled comments that came from elsewhere. The ledger names them like comments.
CREATE TABLE examples (
    number       INTEGER PRIMARY KEY,
    site         INTEGER NOT NULL REFERENCES sites (number),
    id           BLOB    NOT NULL, -- UUIDv7
    source       TEXT    NOT NULL,
    author       BLOB,             -- fingerprint of the folded address
    content_hash INTEGER NOT NULL,
    page_uri     TEXT,
    lang         TEXT,
    body         BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX examples_by_id ON examples (site, id);
CREATE INDEX examples_by_content ON examples (site, source, content_hash);

-- Immutable models, each of one site.
CREATE TABLE models (
    number          INTEGER PRIMARY KEY,
    site            INTEGER NOT NULL REFERENCES sites (number),
    version         TEXT    NOT NULL,
    state           TEXT    NOT NULL, -- candidate, shadow, active or retired
    create_time     INTEGER NOT NULL,
    ledger_position INTEGER NOT NULL, -- of the last entry it knows
    base_version    TEXT    NOT NULL,
    ham_count       INTEGER NOT NULL,
    spam_count      INTEGER NOT NULL,
    report          TEXT    NOT NULL, -- JSON: the figures on the hold-out
    artifact        BLOB    NOT NULL,
    promote_time    INTEGER           -- when it last became active
) STRICT;

CREATE UNIQUE INDEX models_by_version ON models (site, version);
CREATE INDEX models_deciding ON models (site, state) WHERE state IN ('active', 'shadow');
