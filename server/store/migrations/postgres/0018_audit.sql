-- +goose Up
-- audit_entries: append-only; seq, prev and hash are null until sealed, and the
-- payload is null once erased. docs/formats/audit.md says what is hashed.
CREATE TABLE audit_entries (
    tenant_id    text COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    entry_id     text COLLATE "C" NOT NULL,
    at           bigint NOT NULL,
    actor_kind   text COLLATE "C" NOT NULL,
    actor_id     text COLLATE "C" NOT NULL,
    actor_tenant text COLLATE "C" NOT NULL,
    action       text COLLATE "C" NOT NULL,
    object_kind  text COLLATE "C" NOT NULL,
    object_id    text COLLATE "C" NOT NULL,
    payload      bytea,
    payload_hash bytea NOT NULL,
    seq          bigint,
    prev         bytea,
    hash         bytea,
    PRIMARY KEY (tenant_id, entry_id)
);
CREATE UNIQUE INDEX audit_entry_id ON audit_entries (entry_id);
CREATE UNIQUE INDEX audit_seq ON audit_entries (tenant_id, seq);
CREATE INDEX audit_unsealed ON audit_entries (at, entry_id) WHERE seq IS NULL;

CREATE TABLE audit_heads (
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    seq       bigint NOT NULL,
    hash      bytea NOT NULL,
    at        bigint NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (tenant_id, at, seq)
);

-- audit_checkpoints: stands for the prefix that retention removed.
CREATE TABLE audit_checkpoints (
    tenant_id text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES tenants (tenant_id),
    seq       bigint NOT NULL,
    hash      bytea NOT NULL,
    at        bigint NOT NULL,
    signature bytea NOT NULL
);
