-- Erasure and retention.

-- Before when the audit log of a site may end, as the site's policy says.
CREATE TABLE audit_ends (
    site BIGINT PRIMARY KEY REFERENCES sites (number),
    time BIGINT NOT NULL
);

CREATE FUNCTION refuse_audit_removal() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    IF EXISTS (SELECT 1 FROM audit_ends WHERE audit_ends.site = OLD.site AND audit_ends.time > OLD.time) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
DROP TRIGGER audit_entries_are_not_changed ON audit_entries;
CREATE TRIGGER audit_entries_are_not_changed BEFORE UPDATE ON audit_entries
FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_entries_are_not_removed BEFORE DELETE ON audit_entries
FOR EACH ROW EXECUTE FUNCTION refuse_audit_removal();

CREATE INDEX examples_by_author ON examples (site, author) WHERE author IS NOT NULL;
