-- Executions: what lists and searches need, and the engine's state of the whole.
-- Instants are nanoseconds since 1970-01-01T00:00:00Z. Texts compare by their bytes, as in SQLite:
-- ids are keys, not words of a language.
--
-- There are no foreign keys: whatever is stored of an execution is written in one transaction with
-- its row, and a look at that row for every line of history would cost more than the line.
--
-- Rows that change with every append keep room in their page, so that the new one lies beside the
-- old one and no index changes.
CREATE TABLE execution (
    id                 TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    version            BIGINT NOT NULL,
    stage_count        BIGINT NOT NULL,
    history_count      BIGINT NOT NULL,
    kind               BIGINT NOT NULL, -- 0 is a pipeline, 1 a task
    application        TEXT   COLLATE "C" NOT NULL,
    application_key    TEXT   COLLATE "C" NOT NULL, -- the application in lower case
    name               TEXT   COLLATE "C" NOT NULL,
    pipeline_config_id TEXT   COLLATE "C",
    status             TEXT   COLLATE "C" NOT NULL,
    is_complete        BIGINT NOT NULL, -- 1 if the status never changes again but by a restart
    build_time         BIGINT NOT NULL,
    start_time         BIGINT,
    end_time           BIGINT,
    state              BYTEA  NOT NULL
) WITH (fillfactor = 70);

-- One index per way of listing, each in the order of the list; `search.rs` says how lists of several
-- statuses or pipelines are put together from them.
CREATE INDEX execution_by_time ON execution (kind, build_time, id);
CREATE INDEX execution_by_status ON execution (kind, status, build_time, id);
CREATE INDEX execution_by_name ON execution (kind, name, build_time, id);
CREATE INDEX execution_by_application ON execution (kind, application_key, build_time, id);
CREATE INDEX execution_by_application_and_status
    ON execution (kind, application_key, status, build_time, id);
CREATE INDEX execution_by_application_and_name
    ON execution (kind, application_key, name, build_time, id);
CREATE INDEX execution_by_pipeline ON execution (kind, pipeline_config_id, status, build_time, id)
    WHERE pipeline_config_id IS NOT NULL;
-- Each pipeline of an application, be it saved or only named.
CREATE INDEX execution_by_pipeline_of_application
    ON execution (kind, application_key, coalesce(pipeline_config_id, name), status, build_time, id);
CREATE INDEX execution_unfinished ON execution (id) WHERE is_complete = 0;

-- Written once or twice, up to megabytes: apart, so that a change of state does not rewrite it.
CREATE TABLE execution_document (
    execution TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    document  TEXT NOT NULL
);

CREATE TABLE stage (
    execution TEXT   COLLATE "C" NOT NULL,
    place     BIGINT NOT NULL,
    state     BYTEA  NOT NULL,
    PRIMARY KEY (execution, place)
) WITH (fillfactor = 70);

-- A stage that has no row here has an empty body.
CREATE TABLE stage_body (
    execution TEXT   COLLATE "C" NOT NULL,
    place     BIGINT NOT NULL,
    body      TEXT   NOT NULL,
    PRIMARY KEY (execution, place)
) WITH (fillfactor = 85);

CREATE TABLE history (
    execution TEXT   COLLATE "C" NOT NULL,
    number    BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    stage     TEXT,
    kind      TEXT   NOT NULL,
    message   TEXT   NOT NULL,
    PRIMARY KEY (execution, number)
);

-- The newest version of each document, and all of them; a deleted one has no body.
CREATE TABLE document (
    kind      TEXT   COLLATE "C" NOT NULL,
    id        TEXT   COLLATE "C" NOT NULL,
    version   BIGINT NOT NULL,
    body      TEXT,
    stored_at BIGINT NOT NULL,
    stored_by TEXT   NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE TABLE document_version (
    kind      TEXT   COLLATE "C" NOT NULL,
    id        TEXT   COLLATE "C" NOT NULL,
    version   BIGINT NOT NULL,
    body      TEXT,
    stored_at BIGINT NOT NULL,
    stored_by TEXT   NOT NULL,
    PRIMARY KEY (kind, id, version)
);
