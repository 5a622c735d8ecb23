CREATE FUNCTION public.events_append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.approvals (
    request_id text NOT NULL,
    by text NOT NULL,
    at character varying(32) NOT NULL,
    reason text NOT NULL
);
CREATE TABLE public.events (
    sequence bigint NOT NULL,
    "time" character varying(32) NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    channel text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    operation text NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    previous text NOT NULL,
    hash text NOT NULL
);
CREATE TABLE public.finding_absences (
    finding_id text NOT NULL,
    since character varying(32) NOT NULL
);
CREATE TABLE public.finding_looks (
    at character varying(32) NOT NULL,
    by text NOT NULL,
    seen integer NOT NULL,
    new integer NOT NULL
);
CREATE TABLE public.findings (
    id text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    severity text NOT NULL,
    owner text NOT NULL,
    due character varying(32) NOT NULL,
    expected text NOT NULL,
    found text NOT NULL,
    detail text NOT NULL,
    opened_by text NOT NULL,
    opened_at character varying(32) NOT NULL,
    last_seen character varying(32) NOT NULL,
    closed_by text,
    closed_at character varying(32),
    reason text
);
CREATE TABLE public.heads (
    number bigint NOT NULL,
    size bigint NOT NULL,
    last_hash text NOT NULL,
    subtrees text NOT NULL,
    note text NOT NULL,
    purpose text NOT NULL,
    made character varying(32) NOT NULL
);
CREATE SEQUENCE public.heads_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.heads_number_seq OWNED BY public.heads.number;
CREATE TABLE public.job_lines (
    job_id text NOT NULL,
    number integer NOT NULL,
    "time" character varying(32) NOT NULL,
    text text NOT NULL
);
CREATE TABLE public.jobs (
    id text NOT NULL,
    kind text NOT NULL,
    arguments text NOT NULL,
    status text NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    created character varying(32) NOT NULL,
    started character varying(32),
    ended character varying(32),
    heartbeat character varying(32),
    progress double precision NOT NULL,
    step text NOT NULL,
    result text NOT NULL,
    error text,
    attempt integer NOT NULL,
    cancel_requested boolean NOT NULL,
    worker text,
    trigger_id text,
    token text
);
CREATE TABLE public.locks (
    name text NOT NULL,
    owner text NOT NULL,
    expires character varying(32) NOT NULL
);
CREATE TABLE public.requests (
    id text NOT NULL,
    kind text NOT NULL,
    model text NOT NULL,
    version integer NOT NULL,
    to_stage text NOT NULL,
    status text NOT NULL,
    gates text NOT NULL,
    requested_by text NOT NULL,
    requested_at character varying(32) NOT NULL,
    request_reason text NOT NULL,
    decided_by text,
    decided_at character varying(32),
    reason text,
    evidence text NOT NULL,
    intended text NOT NULL,
    stages text NOT NULL,
    previous integer
);
CREATE TABLE public.sign_outs (
    digest text NOT NULL,
    expires character varying(32) NOT NULL
);
CREATE TABLE public.tokens (
    id text NOT NULL,
    digest text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    issued_by text NOT NULL,
    created character varying(32) NOT NULL,
    expires character varying(32) NOT NULL,
    revoked character varying(32),
    revoked_by text
);
CREATE TABLE public.triggers (
    id text NOT NULL,
    kind text NOT NULL,
    job_kind text NOT NULL,
    arguments text NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    created character varying(32) NOT NULL,
    cron text,
    table_name text,
    enabled boolean NOT NULL,
    last_fired character varying(32),
    last_seen_version integer,
    next_due character varying(32),
    token text
);
ALTER TABLE ONLY public.heads ALTER COLUMN number SET DEFAULT nextval('public.heads_number_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('no_replace');
INSERT INTO public.alembic_version VALUES ('looks');
INSERT INTO public.alembic_version VALUES ('job_tokens');
INSERT INTO public.alembic_version VALUES ('approvals');
INSERT INTO public.events VALUES (1, '2026-11-29T02:02:31.408238+00:00', 'scientist', 'scientist', 'cli', 'data.ingest', 'sales@0', 'success', 'monthly', '4205ab50dc424f04b613c3cbb9cd500f', '{}', '{"rows":50}', '0000000000000000000000000000000000000000000000000000000000000000', 'a162f688c747d1268d5b631f1711839f76d8128e764020f8c51c11bfb4fd2ef7');
SELECT pg_catalog.setval('public.heads_number_seq', 1, false);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.approvals
    ADD CONSTRAINT approvals_pkey PRIMARY KEY (request_id, by);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (sequence);
ALTER TABLE ONLY public.finding_absences
    ADD CONSTRAINT finding_absences_pkey PRIMARY KEY (finding_id);
ALTER TABLE ONLY public.finding_looks
    ADD CONSTRAINT finding_looks_pkey PRIMARY KEY (at);
ALTER TABLE ONLY public.findings
    ADD CONSTRAINT findings_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.heads
    ADD CONSTRAINT heads_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.job_lines
    ADD CONSTRAINT job_lines_pkey PRIMARY KEY (job_id, number);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.locks
    ADD CONSTRAINT locks_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.requests
    ADD CONSTRAINT requests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sign_outs
    ADD CONSTRAINT sign_outs_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.triggers
    ADD CONSTRAINT triggers_pkey PRIMARY KEY (id);
CREATE INDEX events_actor ON public.events USING btree (actor, sequence);
CREATE INDEX events_operation ON public.events USING btree (operation);
CREATE INDEX events_subject ON public.events USING btree (subject, sequence);
CREATE INDEX findings_open ON public.findings USING btree (closed_at, due);
CREATE INDEX heads_size ON public.heads USING btree (size);
CREATE INDEX jobs_status ON public.jobs USING btree (status, created);
CREATE INDEX requests_model ON public.requests USING btree (model, requested_at);
CREATE INDEX requests_status ON public.requests USING btree (status);
CREATE TRIGGER events_no_change BEFORE DELETE OR UPDATE OR TRUNCATE ON public.events FOR EACH STATEMENT EXECUTE FUNCTION public.events_append_only();
CREATE TRIGGER heads_no_change BEFORE DELETE OR UPDATE OR TRUNCATE ON public.heads FOR EACH STATEMENT EXECUTE FUNCTION public.events_append_only();
ALTER TABLE ONLY public.approvals
    ADD CONSTRAINT approvals_request_id_fkey FOREIGN KEY (request_id) REFERENCES public.requests(id);
ALTER TABLE ONLY public.finding_absences
    ADD CONSTRAINT finding_absences_finding_id_fkey FOREIGN KEY (finding_id) REFERENCES public.findings(id);
ALTER TABLE ONLY public.job_lines
    ADD CONSTRAINT job_lines_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id);
