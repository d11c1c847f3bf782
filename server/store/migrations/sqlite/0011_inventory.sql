-- +goose Up
-- inventory_sections: what was last confirmed of each part of a device.
CREATE TABLE inventory_sections (
    tenant_id  TEXT    NOT NULL,
    device_id  TEXT    NOT NULL,
    section    TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    updated_at INTEGER NOT NULL,
    scanned_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, device_id, section),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE inventory_items (
    tenant_id TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    section   TEXT    NOT NULL,
    item      TEXT    NOT NULL,
    facts     TEXT    NOT NULL, -- JSON object
    PRIMARY KEY (tenant_id, device_id, section, item),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
) STRICT, WITHOUT ROWID;

-- inventory_history: seq rises per device.
CREATE TABLE inventory_history (
    tenant_id TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    section   TEXT    NOT NULL,
    item      TEXT    NOT NULL,
    before    TEXT    NOT NULL, -- JSON object, '' when it appeared
    after     TEXT    NOT NULL, -- JSON object, '' when it went away
    PRIMARY KEY (tenant_id, device_id, seq),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
) STRICT, WITHOUT ROWID;

-- releases: shared by all tenants; says nothing of who has them.
CREATE TABLE releases (
    source     TEXT    NOT NULL,
    package    TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    severity   TEXT    NOT NULL,
    first_seen INTEGER NOT NULL,
    PRIMARY KEY (source, package, version)
) STRICT, WITHOUT ROWID;
