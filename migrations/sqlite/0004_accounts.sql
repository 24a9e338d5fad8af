-- Who may sign in to the console.

CREATE TABLE accounts (
    number        INTEGER PRIMARY KEY,
    id            BLOB    NOT NULL UNIQUE, -- UUID
    name          TEXT    NOT NULL,
    name_key      TEXT    NOT NULL UNIQUE, -- the name folded, so that no two look alike but for case
    role          TEXT    NOT NULL,        -- moderator or administrator
    disabled      INTEGER NOT NULL DEFAULT 0,
    password_hash TEXT,                    -- argon2id, PHC form; none until the invitation was used
    revision      INTEGER NOT NULL,
    create_time   INTEGER NOT NULL,
    login_time    INTEGER                  -- the last one
) STRICT;

-- The sites of a moderator. Administrators see all sites and have no rows.
CREATE TABLE account_sites (
    account INTEGER NOT NULL REFERENCES accounts (number),
    site    INTEGER NOT NULL REFERENCES sites (number),
    PRIMARY KEY (account, site)
) STRICT, WITHOUT ROWID;

-- One invitation an account: a new one voids the one before.
CREATE TABLE invitations (
    account     INTEGER PRIMARY KEY REFERENCES accounts (number),
    hash        BLOB    NOT NULL UNIQUE, -- SHA-256 of the token
    expire_time INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    number      INTEGER PRIMARY KEY,
    hash        BLOB    NOT NULL UNIQUE, -- SHA-256 of the token
    account     INTEGER NOT NULL REFERENCES accounts (number),
    create_time INTEGER NOT NULL,
    seen_time   INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_by_account ON sessions (account);

-- The entries that belong to no site.
CREATE INDEX audit_entries_of_accounts ON audit_entries (position) WHERE site IS NULL;
