-- +goose Up
CREATE TABLE meta (
    key   text COLLATE "C" NOT NULL PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);

-- steward_write is the first statement of each transaction of the active
-- server: it shares the lock and returns the term. The statements of a volatile
-- function each see what was committed before them, so the term is read after
-- the lock is held.
-- +goose StatementBegin
CREATE FUNCTION steward_write(key bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock_shared(key);
    SELECT CAST(value AS bigint) FROM meta WHERE meta.key = 'term';
$$;
-- +goose StatementEnd

CREATE TABLE series (
    tenant_id  text COLLATE "C" NOT NULL,
    device_id  text COLLATE "C" NOT NULL,
    number     bigint           NOT NULL,
    definition text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, device_id, number),
    UNIQUE (tenant_id, device_id, definition)
);

CREATE TABLE tail (
    tenant_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    at        bigint           NOT NULL,
    data      bytea            NOT NULL,
    PRIMARY KEY (tenant_id, device_id, at)
);

CREATE TABLE block (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    first_at  bigint           NOT NULL,
    last_at   bigint           NOT NULL,
    data      bytea            NOT NULL
);
-- Blocks are compressed already.
ALTER TABLE block ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX block_at ON block (tenant_id, device_id, last_at);
