-- +goose Up
-- series: what the small numbers in samples and blocks stand for.
CREATE TABLE series (
    tenant_id  TEXT    NOT NULL,
    device_id  TEXT    NOT NULL,
    number     INTEGER NOT NULL,
    definition TEXT    NOT NULL, -- JSON: signal, attributes, unit, resolution
    PRIMARY KEY (tenant_id, device_id, number),
    UNIQUE (tenant_id, device_id, definition)
) STRICT, WITHOUT ROWID;

-- tail: one report is one row, until a full stretch of them becomes a block.
-- at is in seconds since 1970. Rows are small, so they live in the key's tree:
-- a device's reports lie side by side, to be read and removed together.
CREATE TABLE tail (
    tenant_id TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    data      BLOB    NOT NULL,
    PRIMARY KEY (tenant_id, device_id, at)
) STRICT, WITHOUT ROWID;

-- block: a stretch of one device's reports, docs/formats/block.md. A rowid
-- table with an index beside it: WITHOUT ROWID spreads blobs over half-empty
-- pages. Two blocks of a device may overlap when reports came late.
CREATE TABLE block (
    id        INTEGER PRIMARY KEY,
    tenant_id TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    first_at  INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    data      BLOB    NOT NULL
) STRICT;
CREATE INDEX block_at ON block (tenant_id, device_id, last_at);
