-- Ad-hoc tasks are listed apart from pipelines: 0 is a pipeline, 1 a task.
ALTER TABLE execution ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
UPDATE execution SET kind = 1 WHERE id IN
    (SELECT execution FROM execution_document WHERE json_extract(document, '$.type') = 'ORCHESTRATION');

-- One index per way of listing, each in the order of the list; `search.rs` says how lists of several
-- statuses or pipelines are put together from them.
DROP INDEX execution_by_time;
DROP INDEX execution_by_application;
DROP INDEX execution_by_application_and_status;
DROP INDEX execution_by_name;
DROP INDEX execution_by_pipeline;
DROP INDEX execution_by_status;
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
