-- Executions: what lists and searches need, and the engine's state of the whole.
-- Instants are nanoseconds since 1970-01-01T00:00:00Z. Every table is clustered by its key.
CREATE TABLE execution (
    id                 TEXT    NOT NULL PRIMARY KEY,
    version            INTEGER NOT NULL,
    stage_count        INTEGER NOT NULL,
    history_count      INTEGER NOT NULL,
    application        TEXT    NOT NULL,
    application_key    TEXT    NOT NULL, -- the application in lower case
    name               TEXT    NOT NULL,
    pipeline_config_id TEXT,
    status             TEXT    NOT NULL,
    is_complete        INTEGER NOT NULL, -- 1 if the status never changes again but by a restart
    build_time         INTEGER NOT NULL,
    start_time         INTEGER,
    end_time           INTEGER,
    state              BLOB    NOT NULL
) WITHOUT ROWID;

-- One index per way of listing, each in the order of the list. What they hold changes when an
-- execution is created and when its status changes, not with every append.
CREATE INDEX execution_by_time ON execution (build_time, id);
CREATE INDEX execution_by_application ON execution (application_key, build_time, id);
CREATE INDEX execution_by_application_and_status
    ON execution (application_key, status, build_time, id);
CREATE INDEX execution_by_name ON execution (name, build_time, id);
CREATE INDEX execution_by_pipeline ON execution (pipeline_config_id, build_time, id)
    WHERE pipeline_config_id IS NOT NULL;
CREATE INDEX execution_by_status ON execution (status, build_time, id);
CREATE INDEX execution_unfinished ON execution (id) WHERE is_complete = 0;

-- Written once or twice, up to megabytes: apart, so that a change of state does not rewrite it.
CREATE TABLE execution_document (
    execution TEXT NOT NULL PRIMARY KEY REFERENCES execution (id) ON DELETE CASCADE,
    document  TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE stage (
    execution TEXT    NOT NULL REFERENCES execution (id) ON DELETE CASCADE,
    place     INTEGER NOT NULL,
    state     BLOB    NOT NULL,
    PRIMARY KEY (execution, place)
) WITHOUT ROWID;

-- A stage that has no row here has an empty body.
CREATE TABLE stage_body (
    execution TEXT    NOT NULL,
    place     INTEGER NOT NULL,
    body      TEXT    NOT NULL,
    PRIMARY KEY (execution, place),
    FOREIGN KEY (execution, place) REFERENCES stage (execution, place) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE TABLE history (
    execution TEXT    NOT NULL REFERENCES execution (id) ON DELETE CASCADE,
    number    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    stage     TEXT,
    kind      TEXT    NOT NULL,
    message   TEXT    NOT NULL,
    PRIMARY KEY (execution, number)
) WITHOUT ROWID;

-- The newest version of each document, and all of them; a deleted one has no body.
CREATE TABLE document (
    kind      TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    body      TEXT,
    stored_at INTEGER NOT NULL,
    stored_by TEXT    NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

CREATE TABLE document_version (
    kind      TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    body      TEXT,
    stored_at INTEGER NOT NULL,
    stored_by TEXT    NOT NULL,
    PRIMARY KEY (kind, id, version)
) WITHOUT ROWID;
