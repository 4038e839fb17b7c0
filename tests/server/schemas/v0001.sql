BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v0001');
CREATE TABLE api_keys (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	name TEXT NOT NULL, 
	hint VARCHAR(16) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	revoked_at DATETIME, 
	scope VARCHAR(16) DEFAULT 'admin' NOT NULL, 
	expires_at DATETIME, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id), 
	CONSTRAINT fk_api_keys_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT uq_api_keys_sha256 UNIQUE (sha256)
);
INSERT INTO "api_keys" VALUES('key_0VbsPFRsSl5Afijs6AjcR','org_0VbsPFRsSl5Afijs6AjcQ','old','evk_00000000','28a650733f29960f7ca9e60b5e5c8fbe5993d561bba297a26388da6643d5a818','2026-11-24 08:15:57.690894',NULL,'read','2030-01-01 00:00:00.000000');
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
INSERT INTO "datapoints" VALUES('evtc_0VbsPFT0DiRHgVZD2mDBz','org_0VbsPFRsSl5Afijs6AjcQ','evts_0VbsPFSrN2OsA0TrR9xHn',0,'{"inputs": {"q": "a"}, "target": {"a": 1}}','2026-11-24 08:15:57.690894');
INSERT INTO "datapoints" VALUES('evtc_0VbsPFT0DiRHgVbl74fnD','org_0VbsPFRsSl5Afijs6AjcQ','evts_0VbsPFSrN2OsA0TrR9xHn',1,'{"inputs": {"q": "b"}}','2026-11-24 08:15:57.690894');
CREATE TABLE dataset_versions (
	id VARCHAR(128) NOT NULL, 
	dataset_id VARCHAR(128) NOT NULL, 
	datapoint_count INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_dataset_versions PRIMARY KEY (id), 
	CONSTRAINT fk_dataset_versions_dataset_id_datasets FOREIGN KEY(dataset_id) REFERENCES datasets (id), 
	CONSTRAINT uq_dataset_versions_dataset_id_datapoint_count UNIQUE (dataset_id, datapoint_count)
);
INSERT INTO "dataset_versions" VALUES('dsv_0VbsPFSslnp7jaXBjyGks','evts_0VbsPFSrN2OsA0TrR9xHn',0,'2026-11-24 08:15:57.682478');
INSERT INTO "dataset_versions" VALUES('dsv_0VbsPFT1NPg1bMWQsfnAo','evts_0VbsPFSrN2OsA0TrR9xHn',2,'2026-11-24 08:15:57.691267');
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
INSERT INTO "datasets" VALUES('evts_0VbsPFSrN2OsA0TrR9xHn','org_0VbsPFRsSl5Afijs6AjcQ','pr_0VbsPFSikBHGS4Gk3Xt6N','rows','d','2026-11-24 08:15:57.681975','2026-11-24 08:15:57.690894');
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
INSERT INTO "evaluatees" VALUES('evv_0VbsPFTViCpCSSzRx5nfi','evrun_0VbsPFTUF88IR9G1GiJ6V','config_0VbsPFTBg7u0PN2R1WDBb',0);
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
INSERT INTO "evaluation_runs" VALUES('evrun_0VbsPFTUF88IR9G1GiJ6V','org_0VbsPFRsSl5Afijs6AjcQ','pr_0VbsPFSikBHGS4Gk3Xt6N','evts_0VbsPFSrN2OsA0TrR9xHn','dsv_0VbsPFT1NPg1bMWQsfnAo',NULL,'running','2026-11-24 08:15:57.720669','2026-11-24 08:15:57.727405');
CREATE TABLE evaluator_versions (
	id VARCHAR(128) NOT NULL, 
	evaluator_id VARCHAR(128) NOT NULL, 
	arguments_type VARCHAR(32) NOT NULL, 
	return_type VARCHAR(32) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_evaluator_versions PRIMARY KEY (id), 
	CONSTRAINT fk_evaluator_versions_evaluator_id_evaluators FOREIGN KEY(evaluator_id) REFERENCES evaluators (id)
);
INSERT INTO "evaluator_versions" VALUES('evv_0VbsPFTPwvrB5xuik8TFo','evfn_0VbsPFTPwvrB5xlwMCtMK','target_required','boolean','2026-11-24 08:15:57.716348');
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
INSERT INTO "evaluators" VALUES('evfn_0VbsPFTPwvrB5xlwMCtMK','org_0VbsPFRsSl5Afijs6AjcQ','exact','','external','evv_0VbsPFTPwvrB5xuik8TFo','2026-11-24 08:15:57.715619','2026-11-24 08:15:57.715619');
CREATE TABLE idempotency_keys (
	organisation_id VARCHAR(128) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	status INTEGER NOT NULL, 
	answer BLOB NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_idempotency_keys PRIMARY KEY (organisation_id, "key"), 
	CONSTRAINT fk_idempotency_keys_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id)
);
INSERT INTO "idempotency_keys" VALUES('org_0VbsPFRsSl5Afijs6AjcQ','kept','1a4251e1969935d8b817c3adc74c2d6a53776f174d3ec9abc4d1ca7e61537826',201,X'7B226964223A22736573685F305662754B466E3652393661665978576C6B754941227D','2026-11-24 16:08:39.969842');
CREATE TABLE log_feedback (
	log_id VARCHAR(128) NOT NULL, 
	type TEXT NOT NULL, 
	label TEXT NOT NULL, 
	CONSTRAINT fk_log_feedback_log_id_logs FOREIGN KEY(log_id) REFERENCES logs (id)
);
INSERT INTO "log_feedback" VALUES('data_0VbsPFTpSg5JJo2FMvFkx','issue','slow');
INSERT INTO "log_feedback" VALUES('data_0VbsPFTpSg5JJo2FMvFkx','issue','wrong');
INSERT INTO "log_feedback" VALUES('data_0VbsPFTpSg5JJo2FMvFkx','rating','good');
INSERT INTO "log_feedback" VALUES('data_0VbsPFTspcf19bTXEQMtL','rating','bad');
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
	searchable TEXT DEFAULT '' NOT NULL, 
	searchable_metadata TEXT DEFAULT '' NOT NULL, 
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
INSERT INTO "logs" VALUES('data_0VbsPFTpSg5JJo2FMvFkx','org_0VbsPFRsSl5Afijs6AjcQ','pr_0VbsPFSikBHGS4Gk3Xt6N','config_0VbsPFTBg7u0PN2R1WDBb','evrun_0VbsPFTUF88IR9G1GiJ6V','evv_0VbsPFTViCpCSSzRx5nfi','evtc_0VbsPFT0DiRHgVZD2mDBz',1,'sesh_0VbsPFToDYyeC7EwH69hS',NULL,'ref','ci','{"session_reference_id": "s", "metadata": {"Zweig": {"Gr\u00f6\u00dfe": 7}}, "feedback": [{"created_at": "2024-05-02T00:00:00Z", "type": "rating", "value": "good", "id": "ann_0VbsPFTpSg5JJoJt4fgzq", "data_id": "data_0VbsPFTpSg5JJo2FMvFkx"}, {"created_at": "2024-05-01T00:00:00Z", "type": "rating", "value": "bad", "id": "ann_0VbsPFTpSg5JJoTvyk35z", "data_id": "data_0VbsPFTpSg5JJo2FMvFkx"}, {"created_at": "2026-11-24T08:15:57.741326+00:00", "type": "issue", "value": ["slow", "wrong"], "id": "ann_0VbsPFTpSg5JJoUwhTvTL", "data_id": "data_0VbsPFTpSg5JJo2FMvFkx"}], "inputs": {"q": "Welche Stadt?", "n": [1.5]}, "output": "Paris"}','welche stadt?
1.5
paris','zweig
grösse
7','2026-11-24 08:15:57.741326','2026-11-24 08:15:57.741326');
INSERT INTO "logs" VALUES('data_0VbsPFTspcf19bTXEQMtL','org_0VbsPFRsSl5Afijs6AjcQ','pr_0VbsPFSikBHGS4Gk3Xt6N','config_0VbsPFTBg7u0PN2R1WDBb','evrun_0VbsPFTUF88IR9G1GiJ6V','evv_0VbsPFTViCpCSSzRx5nfi','evtc_0VbsPFT0DiRHgVbl74fnD',1,NULL,NULL,NULL,NULL,'{"feedback": [{"created_at": "2026-11-24T08:15:57.744409+00:00", "type": "rating", "value": "bad", "id": "ann_0VbsPFTspcf19bl6u2V5E", "data_id": "data_0VbsPFTspcf19bTXEQMtL"}], "save": false}','','','2026-11-24 08:15:57.744409','2026-11-24 08:15:57.744409');
CREATE TABLE model_configs (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	model TEXT NOT NULL, 
	name TEXT, 
	body JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_model_configs PRIMARY KEY (id), 
	CONSTRAINT fk_model_configs_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT uq_model_configs_organisation_id_sha256 UNIQUE (organisation_id, sha256)
);
INSERT INTO "model_configs" VALUES('config_0VbsPFTBg7u0PN2R1WDBb','org_0VbsPFRsSl5Afijs6AjcQ','2f52c7a83adb17ff7301646a236af23cc972e67d9d028f6db338d54c20d4d634','m','terse','{"name": "terse", "provider": "openai", "model": "m", "max_tokens": -1, "temperature": 1.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "endpoint": "complete"}','2026-11-24 08:15:57.701795');
CREATE TABLE organisations (
	id VARCHAR(128) NOT NULL, 
	name TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_organisations PRIMARY KEY (id), 
	CONSTRAINT uq_organisations_name UNIQUE (name)
);
INSERT INTO "organisations" VALUES('org_0VbsPFRsSl5Afijs6AjcQ','default','2026-11-24 08:15:57.620247');
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
INSERT INTO "project_configs" VALUES('pr_0VbsPFSikBHGS4Gk3Xt6N','config_0VbsPFTBg7u0PN2R1WDBb','2026-11-24 08:15:57.702232','2026-11-24 08:15:57.702232','2026-11-24 08:15:57.721523');
CREATE TABLE projects (
	id VARCHAR(128) NOT NULL, 
	organisation_id VARCHAR(128) NOT NULL, 
	name TEXT NOT NULL, 
	searchable TEXT DEFAULT '' NOT NULL, 
	directory_id VARCHAR(128), 
	active_config_id VARCHAR(128), 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_projects PRIMARY KEY (id), 
	CONSTRAINT fk_projects_active_config_id_model_configs FOREIGN KEY(active_config_id) REFERENCES model_configs (id), 
	CONSTRAINT fk_projects_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT uq_projects_organisation_id_name UNIQUE (organisation_id, name)
);
INSERT INTO "projects" VALUES('pr_0VbsPFSikBHGS4Gk3Xt6N','org_0VbsPFRsSl5Afijs6AjcQ','Hauptstädte','hauptstädte',NULL,'config_0VbsPFTBg7u0PN2R1WDBb','2026-11-24 08:15:57.672535','2026-11-24 08:15:57.702232');
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
INSERT INTO "results" VALUES('evres_0VbsPFTv06uJozpt52yju','data_0VbsPFTpSg5JJo2FMvFkx','evfn_0VbsPFTPwvrB5xlwMCtMK','evv_0VbsPFTPwvrB5xuik8TFo','evrun_0VbsPFTUF88IR9G1GiJ6V','true',1.0,NULL,'2026-11-24 08:15:57.746857','2026-11-24 08:15:57.746857');
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
INSERT INTO "run_evaluators" VALUES('evrun_0VbsPFTUF88IR9G1GiJ6V','evfn_0VbsPFTPwvrB5xlwMCtMK','evv_0VbsPFTPwvrB5xuik8TFo',0);
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
INSERT INTO "sessions" VALUES('sesh_0VbsPFToDYyeC7EwH69hS','org_0VbsPFRsSl5Afijs6AjcQ','s','2026-11-24 08:15:57.740948','2026-11-24 08:15:57.740948');
INSERT INTO "sessions" VALUES('sesh_0VbuKFn6R96afYxWlkuIA','org_0VbsPFRsSl5Afijs6AjcQ',NULL,'2026-11-24 16:08:39.968262','2026-11-24 16:08:39.968262');
CREATE INDEX ix_evaluators_organisation_id ON evaluators (organisation_id);
CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at);
CREATE INDEX ix_evaluator_versions_evaluator_id ON evaluator_versions (evaluator_id);
CREATE INDEX ix_datasets_organisation_id ON datasets (organisation_id);
CREATE INDEX ix_evaluation_runs_project_id_id ON evaluation_runs (project_id, id);
CREATE INDEX ix_run_evaluators_evaluator_id ON run_evaluators (evaluator_id);
CREATE INDEX ix_logs_evaluatee_id ON logs (evaluatee_id);
CREATE INDEX ix_logs_organisation_id_reference_id ON logs (organisation_id, reference_id);
CREATE INDEX ix_logs_parent_id ON logs (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX ix_logs_project_id_created_at_id ON logs (project_id, created_at, id);
CREATE INDEX ix_logs_run_id ON logs (run_id);
CREATE INDEX ix_logs_session_id ON logs (session_id);
CREATE UNIQUE INDEX uq_logs_newest ON logs (run_id, evaluatee_id, datapoint_id) WHERE newest;
CREATE INDEX ix_log_feedback_log_id ON log_feedback (log_id);
CREATE INDEX ix_results_run_id_evaluator_id ON results (run_id, evaluator_id);
COMMIT;
