BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('no_replace');
INSERT INTO "alembic_version" VALUES('looks');
INSERT INTO "alembic_version" VALUES('job_tokens');
INSERT INTO "alembic_version" VALUES('approvals');
CREATE TABLE approvals (
	request_id TEXT NOT NULL, 
	"by" TEXT NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (request_id, "by"), 
	FOREIGN KEY(request_id) REFERENCES requests (id)
);
CREATE TABLE events (
	sequence INTEGER NOT NULL, 
	time VARCHAR(32) NOT NULL, 
	actor TEXT NOT NULL, 
	role TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	action TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	operation TEXT NOT NULL, 
	"before" TEXT NOT NULL, 
	"after" TEXT NOT NULL, 
	previous TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "events" VALUES(1,'2026-11-29T02:02:26.820113+00:00','scientist','scientist','cli','data.ingest','sales@0','success','monthly','2ebe9cc41da44a44a9ec2d9babd28858','{}','{"rows":50}','0000000000000000000000000000000000000000000000000000000000000000','c2306c0439a73281474691affe3c64e9e0712c36c916caaf5752117f369b3f0e');
CREATE TABLE finding_absences (
	finding_id TEXT NOT NULL, 
	since VARCHAR(32) NOT NULL, 
	PRIMARY KEY (finding_id), 
	FOREIGN KEY(finding_id) REFERENCES findings (id)
);
CREATE TABLE finding_looks (
	at VARCHAR(32) NOT NULL, 
	"by" TEXT NOT NULL, 
	seen INTEGER NOT NULL, 
	new INTEGER NOT NULL, 
	PRIMARY KEY (at)
);
CREATE TABLE findings (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	severity TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	due VARCHAR(32) NOT NULL, 
	expected TEXT NOT NULL, 
	found TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	opened_by TEXT NOT NULL, 
	opened_at VARCHAR(32) NOT NULL, 
	last_seen VARCHAR(32) NOT NULL, 
	closed_by TEXT, 
	closed_at VARCHAR(32), 
	reason TEXT, 
	PRIMARY KEY (id)
);
CREATE TABLE heads (
	number INTEGER NOT NULL, 
	size BIGINT NOT NULL, 
	last_hash TEXT NOT NULL, 
	subtrees TEXT NOT NULL, 
	note TEXT NOT NULL, 
	purpose TEXT NOT NULL, 
	made VARCHAR(32) NOT NULL, 
	PRIMARY KEY (number)
);
CREATE TABLE job_lines (
	job_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	time VARCHAR(32) NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (job_id, number), 
	FOREIGN KEY(job_id) REFERENCES jobs (id)
);
CREATE TABLE jobs (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	arguments TEXT NOT NULL, 
	status TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	role TEXT NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	started VARCHAR(32), 
	ended VARCHAR(32), 
	heartbeat VARCHAR(32), 
	progress FLOAT NOT NULL, 
	step TEXT NOT NULL, 
	result TEXT NOT NULL, 
	error TEXT, 
	attempt INTEGER NOT NULL, 
	cancel_requested BOOLEAN NOT NULL, 
	worker TEXT, 
	trigger_id TEXT, token TEXT, 
	PRIMARY KEY (id)
);
CREATE TABLE locks (
	name TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	expires VARCHAR(32) NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE requests (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	model TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	to_stage TEXT NOT NULL, 
	status TEXT NOT NULL, 
	gates TEXT NOT NULL, 
	requested_by TEXT NOT NULL, 
	requested_at VARCHAR(32) NOT NULL, 
	request_reason TEXT NOT NULL, 
	decided_by TEXT, 
	decided_at VARCHAR(32), 
	reason TEXT, 
	evidence TEXT NOT NULL, 
	intended TEXT NOT NULL, 
	stages TEXT NOT NULL, 
	previous INTEGER, 
	PRIMARY KEY (id)
);
CREATE TABLE sign_outs (
	digest TEXT NOT NULL, 
	expires VARCHAR(32) NOT NULL, 
	PRIMARY KEY (digest)
);
CREATE TABLE tokens (
	id TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	issued_by TEXT NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	expires VARCHAR(32) NOT NULL, 
	revoked VARCHAR(32), 
	revoked_by TEXT, 
	PRIMARY KEY (id), 
	UNIQUE (digest)
);
CREATE TABLE triggers (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	job_kind TEXT NOT NULL, 
	arguments TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	role TEXT NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	cron TEXT, 
	table_name TEXT, 
	enabled BOOLEAN NOT NULL, 
	last_fired VARCHAR(32), 
	last_seen_version INTEGER, 
	next_due VARCHAR(32), token TEXT, 
	PRIMARY KEY (id)
);
CREATE INDEX events_subject ON events (subject, sequence);
CREATE INDEX events_operation ON events (operation);
CREATE INDEX events_actor ON events (actor, sequence);
CREATE INDEX requests_model ON requests (model, requested_at);
CREATE INDEX requests_status ON requests (status);
CREATE INDEX jobs_status ON jobs (status, created);
CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE INDEX heads_size ON heads (size);
CREATE TRIGGER heads_no_update BEFORE UPDATE ON heads BEGIN SELECT RAISE(ABORT, 'signed heads are append-only'); END;
CREATE TRIGGER heads_no_delete BEFORE DELETE ON heads BEGIN SELECT RAISE(ABORT, 'signed heads are append-only'); END;
CREATE TRIGGER events_no_replace BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE sequence = NEW.sequence) BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER heads_no_replace BEFORE INSERT ON heads WHEN EXISTS (SELECT 1 FROM heads WHERE number = NEW.number) BEGIN SELECT RAISE(ABORT, 'signed heads are append-only'); END;
CREATE INDEX findings_open ON findings (closed_at, due);
COMMIT;
