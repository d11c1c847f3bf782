-- +goose Up
-- device_sessions: what is kept of each device's sessions. through is the
-- highest contiguous event stored of the journal.
CREATE TABLE device_sessions (
    tenant_id       TEXT    NOT NULL,
    device_id       TEXT    NOT NULL,
    journal         TEXT    NOT NULL,
    number          INTEGER NOT NULL,
    through         INTEGER NOT NULL,
    epoch           TEXT    NOT NULL,
    opened_at       INTEGER NOT NULL,
    reports_through INTEGER NOT NULL, -- by the device's clock
    desired         INTEGER NOT NULL, -- version of what it should hold
    desired_hash    BLOB,
    acknowledged    INTEGER NOT NULL, -- version that it journaled
    wants           TEXT    NOT NULL, -- JSON list: sections asked for in full
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
) STRICT, WITHOUT ROWID;

-- device_secrets: what tells a device's key from a copy of it.
CREATE TABLE device_secrets (
    tenant_id   TEXT    NOT NULL,
    device_id   TEXT    NOT NULL,
    key_hash    BLOB    NOT NULL,
    confirmed   BLOB,
    offered     BLOB,
    epoch       TEXT    NOT NULL,
    conflict_at INTEGER NOT NULL, -- 0: no copy was seen
    PRIMARY KEY (tenant_id, device_id, key_hash),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
) STRICT, WITHOUT ROWID;
