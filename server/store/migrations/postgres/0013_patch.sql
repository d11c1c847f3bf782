-- +goose Up
-- updates: one row per device and update.
CREATE TABLE updates (
    tenant_id  text COLLATE "C" NOT NULL,
    device_id  text COLLATE "C" NOT NULL,
    source     text COLLATE "C" NOT NULL,
    package    text COLLATE "C" NOT NULL,
    version    text COLLATE "C" NOT NULL, -- the available version
    installed  text COLLATE "C" NOT NULL, -- the version on which the step starts
    kind       text COLLATE "C" NOT NULL,
    severity   text COLLATE "C" NOT NULL,
    held       bigint NOT NULL,
    phased     bigint NOT NULL,
    offered    bigint NOT NULL,
    state      text COLLATE "C" NOT NULL,
    open       bigint NOT NULL, -- 0 once verified or superseded
    reason     text COLLATE "C" NOT NULL,
    since      bigint NOT NULL,
    first_seen bigint NOT NULL,
    tries      bigint NOT NULL,
    last_error text COLLATE "C" NOT NULL,
    last_try   bigint NOT NULL,
    job_id     text COLLATE "C" NOT NULL,
    seq        bigint NOT NULL,
    PRIMARY KEY (tenant_id, device_id, source, package, version),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);
CREATE INDEX updates_release ON updates (tenant_id, source, package, version, open);
CREATE INDEX updates_open ON updates (tenant_id, device_id) WHERE open = 1;

-- update_history: seq rises per device.
CREATE TABLE update_history (
    tenant_id  text COLLATE "C" NOT NULL,
    device_id  text COLLATE "C" NOT NULL,
    seq        bigint NOT NULL,
    source     text COLLATE "C" NOT NULL,
    package    text COLLATE "C" NOT NULL,
    version    text COLLATE "C" NOT NULL,
    state_from text COLLATE "C" NOT NULL,
    state_to   text COLLATE "C" NOT NULL,
    reason     text COLLATE "C" NOT NULL,
    at         bigint NOT NULL,
    PRIMARY KEY (tenant_id, device_id, seq),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);

-- durations: how long releases took, shared by all tenants; says nothing of where.
CREATE TABLE durations (
    source  text COLLATE "C" NOT NULL,
    package text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    at      bigint NOT NULL,
    seconds bigint NOT NULL
);
CREATE INDEX durations_of ON durations (source, package, version, at);
