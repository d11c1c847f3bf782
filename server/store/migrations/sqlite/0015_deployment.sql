-- +goose Up
-- deployments: one release's way through the rings of a policy. seq is that of
-- the last row of its history.
CREATE TABLE deployments (
    tenant_id     TEXT NOT NULL REFERENCES tenants (tenant_id),
    deployment_id TEXT NOT NULL,
    policy        TEXT NOT NULL,
    source        TEXT NOT NULL,
    package       TEXT NOT NULL,
    version       TEXT NOT NULL,
    state         TEXT NOT NULL,
    reason        TEXT NOT NULL,
    since         INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    failures      TEXT NOT NULL, -- allowance: max(2, 10%)
    in_flight     TEXT NOT NULL, -- share: 20%
    created_at    INTEGER NOT NULL,
    ended_at      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, deployment_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX deployments_id ON deployments (deployment_id);
CREATE UNIQUE INDEX deployments_running ON deployments (tenant_id, policy, source, package, version)
    WHERE state IN ('running', 'paused', 'halted');
CREATE INDEX deployments_release ON deployments (tenant_id, source, package, version);

-- deployment_rings: settings frozen when the deployment was made, and where
-- each ring stands.
CREATE TABLE deployment_rings (
    tenant_id     TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    ring          INTEGER NOT NULL, -- from 0
    name          TEXT NOT NULL,
    soak          INTEGER NOT NULL, -- milliseconds
    min_verified  TEXT NOT NULL, -- share: 60%
    state         TEXT NOT NULL,
    reason        TEXT NOT NULL,
    since         INTEGER NOT NULL,
    devices       INTEGER NOT NULL,
    verified      INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    running       INTEGER NOT NULL,
    waiting       INTEGER NOT NULL,
    other         INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, deployment_id, ring),
    FOREIGN KEY (tenant_id, deployment_id) REFERENCES deployments (tenant_id, deployment_id)
) STRICT, WITHOUT ROWID;

-- deployment_members: which device is in which ring, and what became of it.
CREATE TABLE deployment_members (
    tenant_id     TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    device_id     TEXT NOT NULL,
    ring          INTEGER NOT NULL,
    result        TEXT NOT NULL, -- '' while nothing ended
    job_id        TEXT NOT NULL, -- last or present; '' for none
    ended_at      INTEGER NOT NULL,
    late          INTEGER NOT NULL,
    verified_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, deployment_id, device_id),
    FOREIGN KEY (tenant_id, deployment_id) REFERENCES deployments (tenant_id, deployment_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
) STRICT, WITHOUT ROWID;

-- deployment_history: every transition of a deployment, its rings and its jobs.
CREATE TABLE deployment_history (
    tenant_id     TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    seq           INTEGER NOT NULL, -- 1, 2, 3 … for each deployment
    at            INTEGER NOT NULL,
    subject       TEXT NOT NULL, -- deployment, ring, job
    subject_id    TEXT NOT NULL,
    device_id     TEXT NOT NULL, -- of a job
    from_state    TEXT NOT NULL,
    to_state      TEXT NOT NULL,
    reason        TEXT NOT NULL,
    PRIMARY KEY (tenant_id, deployment_id, seq),
    FOREIGN KEY (tenant_id, deployment_id) REFERENCES deployments (tenant_id, deployment_id)
) STRICT, WITHOUT ROWID;
