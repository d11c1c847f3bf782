-- +goose Up
-- runs: one opening of a policy's window at one site.
CREATE TABLE runs (
    tenant_id  TEXT    NOT NULL,
    run_id     TEXT    NOT NULL,
    policy     TEXT    NOT NULL,
    site_id    TEXT    NOT NULL,
    local_date TEXT    NOT NULL,
    opens      INTEGER NOT NULL,
    closes     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, run_id),
    FOREIGN KEY (tenant_id, site_id) REFERENCES sites (tenant_id, site_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX runs_id ON runs (run_id);
CREATE UNIQUE INDEX runs_opening ON runs (tenant_id, policy, site_id, opens);

-- jobs: is_open is 0 once the job has ended for good; due_at is when the rescue
-- has to look at it, 0 for never; version rises with every change of the row.
CREATE TABLE jobs (
    tenant_id   TEXT    NOT NULL,
    job_id      TEXT    NOT NULL,
    run_id      TEXT    NOT NULL,
    policy      TEXT    NOT NULL, -- the run's, as the next
    site_id     TEXT    NOT NULL,
    device_id   TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    is_open     INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    since       INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    not_before  INTEGER NOT NULL,
    start_by    INTEGER NOT NULL,
    deadline    INTEGER NOT NULL,
    alone       INTEGER NOT NULL,
    may_reboot  INTEGER NOT NULL,
    denied      TEXT    NOT NULL, -- JSON list
    encoded     BLOB,          -- wire.Job of the present attempt
    signature   BLOB,
    key_version INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    leased_at   INTEGER NOT NULL,
    granted_at  INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    heard_at    INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, job_id),
    FOREIGN KEY (tenant_id, run_id) REFERENCES runs (tenant_id, run_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
) STRICT;
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
    tenant_id     TEXT    NOT NULL,
    job_id        TEXT    NOT NULL,
    place         INTEGER NOT NULL, -- from 0, in the job's order
    deployment_id TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    package       TEXT    NOT NULL,
    from_version  TEXT    NOT NULL,
    version       TEXT    NOT NULL,
    expected_ms   INTEGER NOT NULL,
    result        TEXT    NOT NULL, -- '' while open
    to_version    TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    exit_code     INTEGER NOT NULL,
    ended_at      INTEGER NOT NULL,
    took_ms       INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, job_id, place),
    FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, job_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_releases_deployment ON job_releases (tenant_id, deployment_id, job_id);

-- job_history: seq rises by one per job; from_state is '' for a new job, and the
-- same as to_state where only the reason of waiting changed.
CREATE TABLE job_history (
    tenant_id  TEXT    NOT NULL,
    job_id     TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    device_id  TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    from_state TEXT    NOT NULL,
    to_state   TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, job_id, seq),
    FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, job_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_log (
    tenant_id TEXT    NOT NULL,
    job_id    TEXT    NOT NULL,
    attempt   INTEGER NOT NULL,
    source    TEXT    NOT NULL,
    package   TEXT    NOT NULL,
    part      INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    text      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, job_id, attempt, source, package, part),
    FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, job_id)
) STRICT;
