-- +goose Up
-- tenants: the slug is the key. The row '*' is the MSP itself, to which
-- documents of its level and the server's audit chain belong; it has no devices.
CREATE TABLE tenants (
    tenant_id        TEXT    NOT NULL PRIMARY KEY,
    name             TEXT    NOT NULL,
    time_zone        TEXT    NOT NULL,
    mode             TEXT    NOT NULL,
    changed_per_hour TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO tenants VALUES ('*', 'MSP', 'UTC', 'observe', '', 0, 0);

CREATE TABLE sites (
    tenant_id  TEXT    NOT NULL REFERENCES tenants (tenant_id),
    site_id    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    time_zone  TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, site_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
    tenant_id     TEXT    NOT NULL,
    device_id     TEXT    NOT NULL,
    site_id       TEXT    NOT NULL,
    hostname      TEXT    NOT NULL,
    search        TEXT    NOT NULL, -- lower case: host name and tags
    class         TEXT    NOT NULL,
    tags          TEXT    NOT NULL, -- JSON list
    state         TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    since         INTEGER NOT NULL,
    key_hash      BLOB    NOT NULL,
    next_key_hash BLOB,
    serial        TEXT    NOT NULL,
    board_uuid    TEXT    NOT NULL,
    os_family     TEXT    NOT NULL,
    os_name       TEXT    NOT NULL,
    os_version    TEXT    NOT NULL,
    arch          TEXT    NOT NULL,
    time_zone     TEXT    NOT NULL,
    agent_version TEXT    NOT NULL,
    may_install   INTEGER NOT NULL,
    enrollment_id TEXT    NOT NULL,
    enrolled_at   INTEGER NOT NULL,
    last_seen     INTEGER NOT NULL,
    online        INTEGER NOT NULL,
    online_since  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, site_id) REFERENCES sites (tenant_id, site_id)
) STRICT;
CREATE UNIQUE INDEX devices_id ON devices (device_id);
CREATE UNIQUE INDEX devices_key ON devices (key_hash);

CREATE TABLE presence (
    tenant_id TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    online    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, device_id, at),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_at ON presence (tenant_id, at);
