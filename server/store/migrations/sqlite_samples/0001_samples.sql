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
-- at is in seconds since 1970.
CREATE TABLE tail (
    id        INTEGER PRIMARY KEY,
    tenant_id TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    data      BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX tail_at ON tail (tenant_id, device_id, at);

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
