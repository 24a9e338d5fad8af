-- Erasure and retention.

-- What is still to be overwritten on disk after erasures, and the number below which no comment may
-- come: that of the last one that was removed.
CREATE TABLE privacy_marks (
    number        INTEGER PRIMARY KEY,
    erasure_count INTEGER NOT NULL, -- since the last scrub
    comment_floor INTEGER NOT NULL
) STRICT;

INSERT INTO privacy_marks (number, erasure_count, comment_floor) VALUES (1, 0, 0);

-- Before when the audit log of a site may end, as the site's policy says.
CREATE TABLE audit_ends (
    site INTEGER PRIMARY KEY REFERENCES sites (number),
    time INTEGER NOT NULL
) STRICT;

DROP TRIGGER audit_entries_are_not_removed;
CREATE TRIGGER audit_entries_are_not_removed BEFORE DELETE ON audit_entries
WHEN NOT EXISTS (SELECT 1 FROM audit_ends WHERE audit_ends.site = OLD.site AND audit_ends.time > OLD.time)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE INDEX examples_by_author ON examples (site, author) WHERE author IS NOT NULL;
