-- The blobs that an execution's rows refer to: written in the transaction that writes those rows, and
-- deleted with the execution. What is named here is in use.
CREATE TABLE execution_blob (
    execution TEXT COLLATE "C" NOT NULL,
    sha256    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (execution, sha256)
);
CREATE INDEX execution_blob_by_hash ON execution_blob (sha256);
