-- +goose Up
-- runs: one opening of a policy's window at one site.
CREATE TABLE runs (
    tenant_id  text COLLATE "C" NOT NULL,
    run_id     text COLLATE "C" NOT NULL,
    policy     text COLLATE "C" NOT NULL,
    site_id    text COLLATE "C" NOT NULL,
    local_date text COLLATE "C" NOT NULL,
    opens      bigint NOT NULL,
    closes     bigint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, run_id),
    FOREIGN KEY (tenant_id, site_id) REFERENCES sites (tenant_id, site_id)
);
CREATE UNIQUE INDEX runs_id ON runs (run_id);
CREATE UNIQUE INDEX runs_opening ON runs (tenant_id, policy, site_id, opens);

-- jobs: is_open is 0 once the job has ended for good; due_at is when the rescue
-- has to look at it, 0 for never; version rises with every change of the row.
CREATE TABLE jobs (
    tenant_id   text COLLATE "C" NOT NULL,
    job_id      text COLLATE "C" NOT NULL,
    run_id      text COLLATE "C" NOT NULL,
    policy      text COLLATE "C" NOT NULL, -- the run's, as the next
    site_id     text COLLATE "C" NOT NULL,
    device_id   text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL,
    is_open     bigint NOT NULL,
    due_at      bigint NOT NULL,
    reason      text COLLATE "C" NOT NULL,
    since       bigint NOT NULL,
    seq         bigint NOT NULL,
    version     bigint NOT NULL,
    attempt     bigint NOT NULL,
    attempts    bigint NOT NULL,
    not_before  bigint NOT NULL,
    start_by    bigint NOT NULL,
    deadline    bigint NOT NULL,
    alone       bigint NOT NULL,
    may_reboot  bigint NOT NULL,
    denied      text COLLATE "C" NOT NULL, -- JSON list
    encoded     bytea,          -- wire.Job of the present attempt
    signature   bytea,
    key_version bigint NOT NULL,
    created_at  bigint NOT NULL,
    leased_at   bigint NOT NULL,
    granted_at  bigint NOT NULL,
    started_at  bigint NOT NULL,
    finished_at bigint NOT NULL,
    heard_at    bigint NOT NULL,
    changed_at  bigint NOT NULL,
    PRIMARY KEY (tenant_id, job_id),
    FOREIGN KEY (tenant_id, run_id) REFERENCES runs (tenant_id, run_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);
CREATE UNIQUE INDEX jobs_id ON jobs (job_id);
-- One job at a time for a device in a run.
CREATE UNIQUE INDEX jobs_open ON jobs (tenant_id, device_id, run_id) WHERE is_open = 1;
-- What devices hold: few of many that wait for their turn.
CREATE INDEX jobs_held ON jobs (tenant_id, job_id) WHERE is_open = 1 AND state <> 'queued';
CREATE INDEX jobs_due ON jobs (due_at) WHERE is_open = 1 AND due_at > 0;
CREATE INDEX jobs_ended ON jobs (tenant_id, since) WHERE is_open = 0;
CREATE INDEX jobs_changed ON jobs (changed_at) WHERE changed_at > 0;
CREATE INDEX jobs_alone ON jobs (deadline) WHERE is_open = 1 AND alone = 1;
CREATE INDEX jobs_device ON jobs (tenant_id, device_id, job_id);
CREATE INDEX jobs_run ON jobs (tenant_id, run_id, job_id);

CREATE TABLE job_releases (
    tenant_id     text COLLATE "C" NOT NULL,
    job_id        text COLLATE "C" NOT NULL,
    place         bigint NOT NULL, -- from 0, in the job's order
    deployment_id text COLLATE "C" NOT NULL,
    source        text COLLATE "C" NOT NULL,
    package       text COLLATE "C" NOT NULL,
    from_version  text COLLATE "C" NOT NULL,
    version       text COLLATE "C" NOT NULL,
    expected_ms   bigint NOT NULL,
    result        text COLLATE "C" NOT NULL, -- '' while open
    to_version    text COLLATE "C" NOT NULL,
    reason        text COLLATE "C" NOT NULL,
    exit_code     bigint NOT NULL,
    ended_at      bigint NOT NULL,
    took_ms       bigint NOT NULL,
    PRIMARY KEY (tenant_id, job_id, place),
    FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, job_id)
);
CREATE INDEX job_releases_deployment ON job_releases (tenant_id, deployment_id, job_id);

-- job_history: seq rises by one per job; from_state is '' for a new job, and the
-- same as to_state where only the reason of waiting changed.
CREATE TABLE job_history (
    tenant_id  text COLLATE "C" NOT NULL,
    job_id     text COLLATE "C" NOT NULL,
    seq        bigint NOT NULL,
    device_id  text COLLATE "C" NOT NULL,
    attempt    bigint NOT NULL,
    from_state text COLLATE "C" NOT NULL,
    to_state   text COLLATE "C" NOT NULL,
    reason     text COLLATE "C" NOT NULL,
    at         bigint NOT NULL,
    PRIMARY KEY (tenant_id, job_id, seq),
    FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, job_id)
);

CREATE TABLE job_log (
    tenant_id text COLLATE "C" NOT NULL,
    job_id    text COLLATE "C" NOT NULL,
    attempt   bigint NOT NULL,
    source    text COLLATE "C" NOT NULL,
    package   text COLLATE "C" NOT NULL,
    part      bigint NOT NULL,
    bytes     bigint NOT NULL,
    text      text COLLATE "C" NOT NULL,
    at        bigint NOT NULL,
    PRIMARY KEY (tenant_id, job_id, attempt, source, package, part),
    FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, job_id)
);
