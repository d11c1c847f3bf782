-- +goose Up
-- deployments: one release's way through the rings of a policy. seq is that of
-- the last row of its history.
CREATE TABLE deployments (
    tenant_id     text COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    deployment_id text COLLATE "C" NOT NULL,
    policy        text COLLATE "C" NOT NULL,
    source        text COLLATE "C" NOT NULL,
    package       text COLLATE "C" NOT NULL,
    version       text COLLATE "C" NOT NULL,
    state         text COLLATE "C" NOT NULL,
    reason        text COLLATE "C" NOT NULL,
    since         bigint NOT NULL,
    seq           bigint NOT NULL,
    failures      text COLLATE "C" NOT NULL, -- allowance: max(2, 10%)
    in_flight     text COLLATE "C" NOT NULL, -- share: 20%
    created_at    bigint NOT NULL,
    ended_at      bigint NOT NULL,
    PRIMARY KEY (tenant_id, deployment_id)
);
CREATE UNIQUE INDEX deployments_id ON deployments (deployment_id);
CREATE UNIQUE INDEX deployments_running ON deployments (tenant_id, policy, source, package, version)
    WHERE state IN ('running', 'paused', 'halted');
CREATE INDEX deployments_release ON deployments (tenant_id, source, package, version);

-- deployment_rings: settings frozen when the deployment was made, and where
-- each ring stands.
CREATE TABLE deployment_rings (
    tenant_id     text COLLATE "C" NOT NULL,
    deployment_id text COLLATE "C" NOT NULL,
    ring          bigint NOT NULL, -- from 0
    name          text COLLATE "C" NOT NULL,
    soak          bigint NOT NULL, -- milliseconds
    min_verified  text COLLATE "C" NOT NULL, -- share: 60%
    state         text COLLATE "C" NOT NULL,
    reason        text COLLATE "C" NOT NULL,
    since         bigint NOT NULL,
    devices       bigint NOT NULL,
    verified      bigint NOT NULL,
    failed        bigint NOT NULL,
    running       bigint NOT NULL,
    waiting       bigint NOT NULL,
    other         bigint NOT NULL,
    PRIMARY KEY (tenant_id, deployment_id, ring),
    FOREIGN KEY (tenant_id, deployment_id) REFERENCES deployments (tenant_id, deployment_id)
);

-- deployment_members: which device is in which ring, and what became of it.
CREATE TABLE deployment_members (
    tenant_id     text COLLATE "C" NOT NULL,
    deployment_id text COLLATE "C" NOT NULL,
    device_id     text COLLATE "C" NOT NULL,
    ring          bigint NOT NULL,
    result        text COLLATE "C" NOT NULL, -- '' while nothing ended
    job_id        text COLLATE "C" NOT NULL, -- last or present; '' for none
    ended_at      bigint NOT NULL,
    late          bigint NOT NULL,
    verified_at   bigint NOT NULL,
    PRIMARY KEY (tenant_id, deployment_id, device_id),
    FOREIGN KEY (tenant_id, deployment_id) REFERENCES deployments (tenant_id, deployment_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);

-- deployment_history: every transition of a deployment, its rings and its jobs.
CREATE TABLE deployment_history (
    tenant_id     text COLLATE "C" NOT NULL,
    deployment_id text COLLATE "C" NOT NULL,
    seq           bigint NOT NULL, -- 1, 2, 3 … for each deployment
    at            bigint NOT NULL,
    subject       text COLLATE "C" NOT NULL, -- deployment, ring, job
    subject_id    text COLLATE "C" NOT NULL,
    device_id     text COLLATE "C" NOT NULL, -- of a job
    from_state    text COLLATE "C" NOT NULL,
    to_state      text COLLATE "C" NOT NULL,
    reason        text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, deployment_id, seq),
    FOREIGN KEY (tenant_id, deployment_id) REFERENCES deployments (tenant_id, deployment_id)
);
