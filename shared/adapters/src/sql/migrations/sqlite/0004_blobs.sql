-- The blobs that an execution's rows refer to: written in the transaction that writes those rows, and
-- gone with the execution. What is named here is in use.
CREATE TABLE execution_blob (
    execution TEXT NOT NULL REFERENCES execution (id) ON DELETE CASCADE,
    sha256    TEXT NOT NULL,
    PRIMARY KEY (execution, sha256)
) WITHOUT ROWID;
CREATE INDEX execution_blob_by_hash ON execution_blob (sha256);
