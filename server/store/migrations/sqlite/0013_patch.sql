-- +goose Up
-- updates: one row per device and update.
CREATE TABLE updates (
    tenant_id  TEXT    NOT NULL,
    device_id  TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    package    TEXT    NOT NULL,
    version    TEXT    NOT NULL, -- the available version
    installed  TEXT    NOT NULL, -- the version on which the step starts
    kind       TEXT    NOT NULL,
    severity   TEXT    NOT NULL,
    held       INTEGER NOT NULL,
    phased     INTEGER NOT NULL,
    offered    INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    open       INTEGER NOT NULL, -- 0 once verified or superseded
    reason     TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    last_error TEXT    NOT NULL,
    last_try   INTEGER NOT NULL,
    job_id     TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, device_id, source, package, version),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX updates_release ON updates (tenant_id, source, package, version, open);
CREATE INDEX updates_open ON updates (tenant_id, device_id) WHERE open = 1;

-- update_history: seq rises per device.
CREATE TABLE update_history (
    tenant_id  TEXT    NOT NULL,
    device_id  TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    source     TEXT    NOT NULL,
    package    TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    state_from TEXT    NOT NULL,
    state_to   TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, device_id, seq),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
) STRICT, WITHOUT ROWID;

-- durations: how long releases took, shared by all tenants; says nothing of where.
CREATE TABLE durations (
    source  TEXT    NOT NULL,
    package TEXT    NOT NULL,
    version TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    seconds INTEGER NOT NULL
) STRICT;
CREATE INDEX durations_of ON durations (source, package, version, at);
