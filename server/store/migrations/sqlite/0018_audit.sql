-- +goose Up
-- audit_entries: append-only; seq, prev and hash are null until sealed, and the
-- payload is null once erased. docs/formats/audit.md says what is hashed.
CREATE TABLE audit_entries (
    tenant_id    TEXT    NOT NULL REFERENCES tenants (tenant_id),
    entry_id     TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    actor_kind   TEXT    NOT NULL,
    actor_id     TEXT    NOT NULL,
    actor_tenant TEXT    NOT NULL,
    action       TEXT    NOT NULL,
    object_kind  TEXT    NOT NULL,
    object_id    TEXT    NOT NULL,
    payload      BLOB,
    payload_hash BLOB    NOT NULL,
    seq          INTEGER,
    prev         BLOB,
    hash         BLOB,
    PRIMARY KEY (tenant_id, entry_id)
) STRICT;
CREATE UNIQUE INDEX audit_entry_id ON audit_entries (entry_id);
CREATE UNIQUE INDEX audit_seq ON audit_entries (tenant_id, seq);
CREATE INDEX audit_unsealed ON audit_entries (at, entry_id) WHERE seq IS NULL;

CREATE TABLE audit_heads (
    tenant_id TEXT    NOT NULL REFERENCES tenants (tenant_id),
    seq       INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    signature BLOB    NOT NULL,
    PRIMARY KEY (tenant_id, at, seq)
) STRICT, WITHOUT ROWID;

-- audit_checkpoints: stands for the prefix that retention removed.
CREATE TABLE audit_checkpoints (
    tenant_id TEXT    NOT NULL PRIMARY KEY REFERENCES tenants (tenant_id),
    seq       INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    signature BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
