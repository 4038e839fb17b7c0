BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE api_keys (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	name TEXT NOT NULL, 
	hint VARCHAR(16) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	revoked_at DATETIME, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id), 
	CONSTRAINT fk_api_keys_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT uq_api_keys_sha256 UNIQUE (sha256)
);
CREATE TABLE datapoints (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	dataset_id VARCHAR(128) NOT NULL, 
	position INTEGER NOT NULL, 
	body JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_datapoints PRIMARY KEY (id), 
	CONSTRAINT fk_datapoints_dataset_id_datasets FOREIGN KEY(dataset_id) REFERENCES datasets (id), 
	CONSTRAINT fk_datapoints_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT uq_datapoints_dataset_id_position UNIQUE (dataset_id, position)
);
INSERT INTO "datapoints" VALUES('evtc_0VbsJ5jmcfZUjT5OnliOj','org_0VbsJ5iUmuqLsB8iS2FxB','evts_0VbsJ5jcd2IrdnXfuOd2p',0,'{"inputs": {"q": "a"}, "target": {"a": 1}}','2026-11-24 07:51:30.322602');
INSERT INTO "datapoints" VALUES('evtc_0VbsJ5jmcfZUjTDCe2zCG','org_0VbsJ5iUmuqLsB8iS2FxB','evts_0VbsJ5jcd2IrdnXfuOd2p',1,'{"inputs": {"q": "b"}}','2026-11-24 07:51:30.322602');
CREATE TABLE dataset_versions (
	id VARCHAR(128) NOT NULL, 
	dataset_id VARCHAR(128) NOT NULL, 
	datapoint_count INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_dataset_versions PRIMARY KEY (id), 
	CONSTRAINT fk_dataset_versions_dataset_id_datasets FOREIGN KEY(dataset_id) REFERENCES datasets (id), 
	CONSTRAINT uq_dataset_versions_dataset_id_datapoint_count UNIQUE (dataset_id, datapoint_count)
);
INSERT INTO "dataset_versions" VALUES('dsv_0VbsJ5jdamleE7ytIMXcE','evts_0VbsJ5jcd2IrdnXfuOd2p',0,'2026-11-24 07:51:30.313323');
INSERT INTO "dataset_versions" VALUES('dsv_0VbsJ5jnx8yPOKzHl9TNN','evts_0VbsJ5jcd2IrdnXfuOd2p',2,'2026-11-24 07:51:30.323036');
CREATE TABLE datasets (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	project_id VARCHAR(128) NOT NULL, 
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_datasets PRIMARY KEY (id), 
	CONSTRAINT fk_datasets_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT fk_datasets_project_id_projects FOREIGN KEY(project_id) REFERENCES projects (id)
);
INSERT INTO "datasets" VALUES('evts_0VbsJ5jcd2IrdnXfuOd2p','org_0VbsJ5iUmuqLsB8iS2FxB','pr_0VbsJ5jSYVO393MJgyCN1','rows','d','2026-11-24 07:51:30.312699','2026-11-24 07:51:30.322602');
CREATE TABLE evaluatees (
	id VARCHAR(128) NOT NULL, 
	run_id VARCHAR(128) NOT NULL, 
	config_id VARCHAR(128) NOT NULL, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_evaluatees PRIMARY KEY (id), 
	CONSTRAINT fk_evaluatees_config_id_model_configs FOREIGN KEY(config_id) REFERENCES model_configs (id), 
	CONSTRAINT fk_evaluatees_run_id_evaluation_runs FOREIGN KEY(run_id) REFERENCES evaluation_runs (id), 
	CONSTRAINT uq_evaluatees_run_id_position UNIQUE (run_id, position)
);
INSERT INTO "evaluatees" VALUES('evv_0VbsJ5kIvlmHEeykPgG1S','evrun_0VbsJ5kIvlmHEex3yjSwN','config_0VbsJ5jyOZUk9i3Wyj6wV',0);
CREATE TABLE evaluation_runs (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	project_id VARCHAR(128) NOT NULL, 
	dataset_id VARCHAR(128) NOT NULL, 
	dataset_version_id VARCHAR(128) NOT NULL, 
	name TEXT, 
	status VARCHAR(16) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_evaluation_runs PRIMARY KEY (id), 
	CONSTRAINT fk_evaluation_runs_dataset_id_datasets FOREIGN KEY(dataset_id) REFERENCES datasets (id), 
	CONSTRAINT fk_evaluation_runs_dataset_version_id_dataset_versions FOREIGN KEY(dataset_version_id) REFERENCES dataset_versions (id), 
	CONSTRAINT fk_evaluation_runs_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT fk_evaluation_runs_project_id_projects FOREIGN KEY(project_id) REFERENCES projects (id)
);
INSERT INTO "evaluation_runs" VALUES('evrun_0VbsJ5kIvlmHEex3yjSwN','org_0VbsJ5iUmuqLsB8iS2FxB','pr_0VbsJ5jSYVO393MJgyCN1','evts_0VbsJ5jcd2IrdnXfuOd2p','dsv_0VbsJ5jnx8yPOKzHl9TNN',NULL,'running','2026-11-24 07:51:30.354341','2026-11-24 07:51:30.361529');
CREATE TABLE evaluator_versions (
	id VARCHAR(128) NOT NULL, 
	evaluator_id VARCHAR(128) NOT NULL, 
	arguments_type VARCHAR(32) NOT NULL, 
	return_type VARCHAR(32) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_evaluator_versions PRIMARY KEY (id), 
	CONSTRAINT fk_evaluator_versions_evaluator_id_evaluators FOREIGN KEY(evaluator_id) REFERENCES evaluators (id)
);
INSERT INTO "evaluator_versions" VALUES('evv_0VbsJ5kDEvQjwABvzda3q','evfn_0VbsJ5kDEvQjw9z2mdsjc','target_required','boolean','2026-11-24 07:51:30.350076');
CREATE TABLE evaluators (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	type VARCHAR(32) NOT NULL, 
	version_id VARCHAR(128) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_evaluators PRIMARY KEY (id), 
	CONSTRAINT fk_evaluators_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id)
);
INSERT INTO "evaluators" VALUES('evfn_0VbsJ5kDEvQjw9z2mdsjc','org_0VbsJ5iUmuqLsB8iS2FxB','exact','','external','evv_0VbsJ5kDEvQjwABvzda3q','2026-11-24 07:51:30.349290','2026-11-24 07:51:30.349290');
CREATE TABLE logs (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	project_id VARCHAR(128) NOT NULL, 
	config_id VARCHAR(128) NOT NULL, 
	run_id VARCHAR(128), 
	evaluatee_id VARCHAR(128), 
	datapoint_id VARCHAR(128), 
	newest BOOLEAN NOT NULL, 
	session_id VARCHAR(128), 
	parent_id VARCHAR(128), 
	reference_id TEXT, 
	source TEXT, 
	body JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_logs PRIMARY KEY (id), 
	CONSTRAINT fk_logs_config_id_model_configs FOREIGN KEY(config_id) REFERENCES model_configs (id), 
	CONSTRAINT fk_logs_datapoint_id_datapoints FOREIGN KEY(datapoint_id) REFERENCES datapoints (id), 
	CONSTRAINT fk_logs_evaluatee_id_evaluatees FOREIGN KEY(evaluatee_id) REFERENCES evaluatees (id), 
	CONSTRAINT fk_logs_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT fk_logs_parent_id_logs FOREIGN KEY(parent_id) REFERENCES logs (id), 
	CONSTRAINT fk_logs_project_id_projects FOREIGN KEY(project_id) REFERENCES projects (id), 
	CONSTRAINT fk_logs_run_id_evaluation_runs FOREIGN KEY(run_id) REFERENCES evaluation_runs (id), 
	CONSTRAINT fk_logs_session_id_sessions FOREIGN KEY(session_id) REFERENCES sessions (id)
);
INSERT INTO "logs" VALUES('data_0VbsJ5kfHV7LII1qxLgl5','org_0VbsJ5iUmuqLsB8iS2FxB','pr_0VbsJ5jSYVO393MJgyCN1','config_0VbsJ5jyOZUk9i3Wyj6wV','evrun_0VbsJ5kIvlmHEex3yjSwN','evv_0VbsJ5kIvlmHEeykPgG1S','evtc_0VbsJ5jmcfZUjT5OnliOj',1,'sesh_0VbsJ5ke5zVeAriRirIsG',NULL,'ref','ci','{"session_reference_id": "s", "feedback": [{"created_at": "2024-05-02T00:00:00Z", "type": "rating", "value": "good", "id": "ann_0VbsJ5kfHV7LII82L4r5h", "data_id": "data_0VbsJ5kfHV7LII1qxLgl5"}, {"created_at": "2024-05-01T00:00:00Z", "type": "rating", "value": "bad", "id": "ann_0VbsJ5kfHV7LIIC6g7FZ8", "data_id": "data_0VbsJ5kfHV7LII1qxLgl5"}, {"created_at": "2026-11-24T07:51:30.377346+00:00", "type": "issue", "value": ["slow", "wrong"], "id": "ann_0VbsJ5kfHV7LIIEw29XdH", "data_id": "data_0VbsJ5kfHV7LII1qxLgl5"}], "inputs": {"q": "a"}, "output": "Paris"}','2026-11-24 07:51:30.377346','2026-11-24 07:51:30.377346');
INSERT INTO "logs" VALUES('data_0VbsJ5kjJrlpDYmXZ4C7h','org_0VbsJ5iUmuqLsB8iS2FxB','pr_0VbsJ5jSYVO393MJgyCN1','config_0VbsJ5jyOZUk9i3Wyj6wV','evrun_0VbsJ5kIvlmHEex3yjSwN','evv_0VbsJ5kIvlmHEeykPgG1S','evtc_0VbsJ5jmcfZUjTDCe2zCG',1,NULL,NULL,NULL,NULL,'{"feedback": [{"created_at": "2026-11-24T07:51:30.381235+00:00", "type": "rating", "value": "bad", "id": "ann_0VbsJ5kjJrlpDYxez0Kkl", "data_id": "data_0VbsJ5kjJrlpDYmXZ4C7h"}], "save": false}','2026-11-24 07:51:30.381235','2026-11-24 07:51:30.381235');
CREATE TABLE model_configs (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	model TEXT NOT NULL, 
	body JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_model_configs PRIMARY KEY (id), 
	CONSTRAINT fk_model_configs_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT uq_model_configs_organisation_id_sha256 UNIQUE (organisation_id, sha256)
);
INSERT INTO "model_configs" VALUES('config_0VbsJ5jyOZUk9i3Wyj6wV','org_0VbsJ5iUmuqLsB8iS2FxB','81c8e9ef7e9ca49b7222db7840bd464715a33c9915e83b4f13f89b2b1f0e2179','m','{"provider": "openai", "model": "m", "max_tokens": -1, "temperature": 1.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "endpoint": "complete"}','2026-11-24 07:51:30.334260');
CREATE TABLE organisations (
	id VARCHAR(128) NOT NULL, 
	name TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_organisations PRIMARY KEY (id), 
	CONSTRAINT uq_organisations_name UNIQUE (name)
);
INSERT INTO "organisations" VALUES('org_0VbsJ5iUmuqLsB8iS2FxB','default','2026-11-24 07:51:30.242808');
CREATE TABLE project_configs (
	project_id VARCHAR(128) NOT NULL, 
	config_id VARCHAR(128) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	last_used DATETIME NOT NULL, 
	CONSTRAINT pk_project_configs PRIMARY KEY (project_id, config_id), 
	CONSTRAINT fk_project_configs_config_id_model_configs FOREIGN KEY(config_id) REFERENCES model_configs (id), 
	CONSTRAINT fk_project_configs_project_id_projects FOREIGN KEY(project_id) REFERENCES projects (id)
);
INSERT INTO "project_configs" VALUES('pr_0VbsJ5jSYVO393MJgyCN1','config_0VbsJ5jyOZUk9i3Wyj6wV','2026-11-24 07:51:30.334821','2026-11-24 07:51:30.334821','2026-11-24 07:51:30.355211');
CREATE TABLE projects (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	name TEXT NOT NULL, 
	directory_id VARCHAR(128), 
	active_config_id VARCHAR(128), 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_projects PRIMARY KEY (id), 
	CONSTRAINT fk_projects_active_config_id_model_configs FOREIGN KEY(active_config_id) REFERENCES model_configs (id), 
	CONSTRAINT fk_projects_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT uq_projects_organisation_id_name UNIQUE (organisation_id, name)
);
INSERT INTO "projects" VALUES('pr_0VbsJ5jSYVO393MJgyCN1','org_0VbsJ5iUmuqLsB8iS2FxB','capitals',NULL,'config_0VbsJ5jyOZUk9i3Wyj6wV','2026-11-24 07:51:30.302880','2026-11-24 07:51:30.334821');
CREATE TABLE results (
	id VARCHAR(128) NOT NULL, 
	log_id VARCHAR(128) NOT NULL, 
	evaluator_id VARCHAR(128) NOT NULL, 
	evaluator_version_id VARCHAR(128) NOT NULL, 
	run_id VARCHAR(128) NOT NULL, 
	value JSON, 
	score DOUBLE, 
	error TEXT, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_results PRIMARY KEY (id), 
	CONSTRAINT fk_results_evaluator_id_evaluators FOREIGN KEY(evaluator_id) REFERENCES evaluators (id), 
	CONSTRAINT fk_results_evaluator_version_id_evaluator_versions FOREIGN KEY(evaluator_version_id) REFERENCES evaluator_versions (id), 
	CONSTRAINT fk_results_log_id_logs FOREIGN KEY(log_id) REFERENCES logs (id), 
	CONSTRAINT fk_results_run_id_evaluation_runs FOREIGN KEY(run_id) REFERENCES evaluation_runs (id), 
	CONSTRAINT uq_results_log_id_evaluator_id UNIQUE (log_id, evaluator_id)
);
INSERT INTO "results" VALUES('evres_0VbsJ5kmgatM7sluL3sUJ','data_0VbsJ5kfHV7LII1qxLgl5','evfn_0VbsJ5kDEvQjw9z2mdsjc','evv_0VbsJ5kDEvQjwABvzda3q','evrun_0VbsJ5kIvlmHEex3yjSwN','true',1.0,NULL,'2026-11-24 07:51:30.384132','2026-11-24 07:51:30.384132');
CREATE TABLE run_evaluators (
	run_id VARCHAR(128) NOT NULL, 
	evaluator_id VARCHAR(128) NOT NULL, 
	evaluator_version_id VARCHAR(128) NOT NULL, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_run_evaluators PRIMARY KEY (run_id, evaluator_id), 
	CONSTRAINT fk_run_evaluators_evaluator_id_evaluators FOREIGN KEY(evaluator_id) REFERENCES evaluators (id), 
	CONSTRAINT fk_run_evaluators_evaluator_version_id_evaluator_versions FOREIGN KEY(evaluator_version_id) REFERENCES evaluator_versions (id), 
	CONSTRAINT fk_run_evaluators_run_id_evaluation_runs FOREIGN KEY(run_id) REFERENCES evaluation_runs (id)
);
INSERT INTO "run_evaluators" VALUES('evrun_0VbsJ5kIvlmHEex3yjSwN','evfn_0VbsJ5kDEvQjw9z2mdsjc','evv_0VbsJ5kDEvQjwABvzda3q',0);
CREATE TABLE sessions (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	reference_id TEXT, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_sessions PRIMARY KEY (id), 
	CONSTRAINT fk_sessions_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT uq_sessions_organisation_id_reference_id UNIQUE (organisation_id, reference_id)
);
INSERT INTO "sessions" VALUES('sesh_0VbsJ5ke5zVeAriRirIsG','org_0VbsJ5iUmuqLsB8iS2FxB','s','2026-11-24 07:51:30.376742','2026-11-24 07:51:30.376742');
CREATE INDEX ix_evaluators_organisation_id ON evaluators (organisation_id);
CREATE INDEX ix_evaluator_versions_evaluator_id ON evaluator_versions (evaluator_id);
CREATE INDEX ix_datasets_organisation_id ON datasets (organisation_id);
CREATE INDEX ix_evaluation_runs_project_id_id ON evaluation_runs (project_id, id);
CREATE INDEX ix_run_evaluators_evaluator_id ON run_evaluators (evaluator_id);
CREATE INDEX ix_logs_organisation_id_reference_id ON logs (organisation_id, reference_id);
CREATE INDEX ix_logs_project_id_created_at_id ON logs (project_id, created_at, id);
CREATE INDEX ix_logs_session_id ON logs (session_id);
CREATE UNIQUE INDEX uq_logs_newest ON logs (run_id, evaluatee_id, datapoint_id) WHERE newest;
CREATE INDEX ix_results_run_id_evaluator_id ON results (run_id, evaluator_id);
COMMIT;
