-- The review queue, decisions, claims and the search index.

-- The first comment of the campaign that the comment is of.
ALTER TABLE comments ADD COLUMN campaign BLOB NOT NULL DEFAULT x'';
-- From 0 (clear) to 4 (on the threshold), see `domain::uncertainty`.
ALTER TABLE comments ADD COLUMN uncertainty REAL NOT NULL DEFAULT 0;
-- Counts the changes of the state or label.
ALTER TABLE comments ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
UPDATE comments SET campaign = id;

-- Lists run through these backwards, by the number of the row, which every index ends with.
CREATE INDEX comments_by_state ON comments (site, state);
CREATE INDEX comments_by_score ON comments (site, state, probability);
CREATE INDEX comments_by_campaign ON comments (site, campaign, state);
CREATE INDEX comments_by_author ON comments (site, author) WHERE author IS NOT NULL;
CREATE INDEX comments_by_page ON comments (site, page_uri) WHERE page_uri IS NOT NULL;
CREATE INDEX comments_by_lang ON comments (site, lang) WHERE lang IS NOT NULL;
CREATE INDEX comments_by_label ON comments (site, label) WHERE label IS NOT NULL;

-- The held comments by campaign: one row for what a moderator decides on at once.
CREATE TABLE queue_entries (
    site            INTEGER NOT NULL REFERENCES sites (number),
    campaign        BLOB    NOT NULL,
    comment         BLOB    NOT NULL, -- the last one held
    held_count      INTEGER NOT NULL,
    uncertainty     REAL    NOT NULL, -- the greatest
    probability     REAL    NOT NULL, -- the highest; 2 if one was not scored
    first_time      INTEGER NOT NULL,
    last_time       INTEGER NOT NULL,
    usefulness      REAL    NOT NULL, -- see `domain::usefulness`
    PRIMARY KEY (site, campaign)
) STRICT, WITHOUT ROWID;

CREATE INDEX queue_entries_by_usefulness ON queue_entries (site, usefulness);
CREATE INDEX queue_entries_by_first_time ON queue_entries (site, first_time);
CREATE INDEX queue_entries_by_last_time ON queue_entries (site, last_time);
CREATE INDEX queue_entries_by_score ON queue_entries (site, probability);

INSERT INTO queue_entries
SELECT site, id, id, 1, 0, coalesce(probability, 2), check_time, check_time, -check_time / 21600000.0
FROM comments WHERE state = 'held';

-- What was decided, as one does it and undoes it: one comment or thousands.
CREATE TABLE decisions (
    number        INTEGER PRIMARY KEY,
    site          INTEGER NOT NULL REFERENCES sites (number),
    id            BLOB    NOT NULL, -- UUIDv7
    action        TEXT    NOT NULL,
    actor         TEXT    NOT NULL,
    note          TEXT,
    time          INTEGER NOT NULL,
    comment_count INTEGER NOT NULL,
    undoes        INTEGER REFERENCES decisions (number),
    undone        INTEGER REFERENCES decisions (number) -- the decision that undid it
) STRICT;

CREATE UNIQUE INDEX decisions_by_id ON decisions (site, id);

-- What each decision did to each comment, in order: CMSs follow it.
CREATE TABLE decided_comments (
    position     INTEGER PRIMARY KEY AUTOINCREMENT,
    site         INTEGER NOT NULL REFERENCES sites (number),
    decision     INTEGER NOT NULL REFERENCES decisions (number),
    comment      BLOB    NOT NULL,
    state_before TEXT    NOT NULL,
    state_after  TEXT    NOT NULL,
    label_before TEXT,
    label_after  TEXT,
    label        INTEGER REFERENCES labels (position), -- the label that it appended
    revision     INTEGER NOT NULL,                     -- of the comment, afterwards
    time         INTEGER NOT NULL
) STRICT;

CREATE INDEX decided_comments_by_site ON decided_comments (site, position);
CREATE INDEX decided_comments_by_decision ON decided_comments (decision, position);
CREATE INDEX decided_comments_by_comment ON decided_comments (site, comment, position);

-- Who is looking at what, so that two moderators don't do the same.
CREATE TABLE claims (
    site        INTEGER NOT NULL REFERENCES sites (number),
    campaign    BLOB    NOT NULL,
    actor       TEXT    NOT NULL,
    expire_time INTEGER NOT NULL,
    PRIMARY KEY (site, campaign)
) STRICT, WITHOUT ROWID;

-- What happened on each day of UTC: verdicts, and what moderators made of them.
CREATE TABLE daily_counts (
    site                    INTEGER NOT NULL REFERENCES sites (number),
    day                     INTEGER NOT NULL, -- since 1970
    approve_count           INTEGER NOT NULL DEFAULT 0,
    hold_count              INTEGER NOT NULL DEFAULT 0,
    reject_count            INTEGER NOT NULL DEFAULT 0,
    held_approved_count     INTEGER NOT NULL DEFAULT 0,
    held_rejected_count     INTEGER NOT NULL DEFAULT 0,
    rejected_approved_count INTEGER NOT NULL DEFAULT 0,
    approved_rejected_count INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (site, day)
) STRICT, WITHOUT ROWID;

INSERT INTO daily_counts (site, day, approve_count, hold_count, reject_count)
SELECT site, check_time / 86400000, sum(verdict = 'approve'), sum(verdict = 'hold'), sum(verdict = 'reject')
FROM comments GROUP BY site, check_time / 86400000;

-- Words of comments, without the comments themselves. A row has the number of its comment.
CREATE VIRTUAL TABLE comment_words USING fts5 (
    words, marks, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2"
);

-- The last comment whose words are in the index; it follows a moment later.
CREATE TABLE word_marks (
    number  INTEGER PRIMARY KEY,
    comment INTEGER NOT NULL
) STRICT;

INSERT INTO word_marks (number, comment) VALUES (1, 0);
