-- Executions that were removed, and of which there may be logs left: written in the transaction that
-- takes their rows away, and deleted once nothing of them is left.
CREATE TABLE removed (
    execution  TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    removed_at BIGINT NOT NULL
);
CREATE INDEX removed_by_time ON removed (removed_at, execution);
