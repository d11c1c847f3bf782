-- +goose Up
-- device_sessions: what is kept of each device's sessions. through is the
-- highest contiguous event stored of the journal.
CREATE TABLE device_sessions (
    tenant_id       text COLLATE "C" NOT NULL,
    device_id       text COLLATE "C" NOT NULL,
    journal         text COLLATE "C" NOT NULL,
    number          bigint NOT NULL,
    through         bigint NOT NULL,
    epoch           text COLLATE "C" NOT NULL,
    opened_at       bigint NOT NULL,
    reports_through bigint NOT NULL, -- by the device's clock
    desired         bigint NOT NULL, -- version of what it should hold
    desired_hash    bytea,
    acknowledged    bigint NOT NULL, -- version that it journaled
    wants           text COLLATE "C" NOT NULL, -- JSON list: sections asked for in full
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);

-- device_secrets: what tells a device's key from a copy of it.
CREATE TABLE device_secrets (
    tenant_id   text COLLATE "C" NOT NULL,
    device_id   text COLLATE "C" NOT NULL,
    key_hash    bytea  NOT NULL,
    confirmed   bytea,
    offered     bytea,
    epoch       text COLLATE "C" NOT NULL,
    conflict_at bigint NOT NULL, -- 0: no copy was seen
    PRIMARY KEY (tenant_id, device_id, key_hash),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);
