-- Long work of models. What came of it quotes no comment: quotes are read from the ledger when they are asked
-- for. Work that runs when the file is opened is of a process that is gone.
CREATE TABLE operations (
    number        INTEGER PRIMARY KEY,
    site          INTEGER NOT NULL REFERENCES sites (number),
    id            BLOB    NOT NULL UNIQUE,
    kind          TEXT    NOT NULL, -- train, evaluate or prove
    state         TEXT    NOT NULL, -- running, ended or interrupted
    stage         TEXT    NOT NULL,
    example_count INTEGER NOT NULL DEFAULT 0,
    cancelled     INTEGER NOT NULL DEFAULT 0, -- somebody asked it to end
    create_time   INTEGER NOT NULL,
    answer        BLOB              -- protobuf, once it has ended
) STRICT;

CREATE INDEX operations_by_site ON operations (site, number);
CREATE UNIQUE INDEX operations_running ON operations (site) WHERE state = 'running';
