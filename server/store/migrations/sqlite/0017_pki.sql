-- +goose Up
CREATE TABLE enrollments (
    tenant_id     TEXT    NOT NULL,
    enrollment_id TEXT    NOT NULL,
    site_id       TEXT    NOT NULL,
    class         TEXT    NOT NULL,
    tags          TEXT    NOT NULL, -- JSON list
    uses          INTEGER NOT NULL,
    used          INTEGER NOT NULL,
    per_minute    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    may_install   INTEGER NOT NULL,
    created_by    TEXT    NOT NULL, -- JSON actor
    created_at    INTEGER NOT NULL,
    revoked_at    INTEGER NOT NULL, -- 0: not revoked
    token_hash    BLOB    NOT NULL,
    PRIMARY KEY (tenant_id, enrollment_id),
    FOREIGN KEY (tenant_id, site_id) REFERENCES sites (tenant_id, site_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX enrollments_token ON enrollments (token_hash);

-- enrollment_uses: which key became which device; token and key are unique
-- together, so that an enrollment told twice is one.
CREATE TABLE enrollment_uses (
    tenant_id     TEXT    NOT NULL,
    enrollment_id TEXT    NOT NULL,
    token_hash    BLOB    NOT NULL,
    key_hash      BLOB    NOT NULL,
    device_id     TEXT    NOT NULL,
    at            INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, enrollment_id, key_hash),
    FOREIGN KEY (tenant_id, enrollment_id) REFERENCES enrollments (tenant_id, enrollment_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX enrollment_uses_key ON enrollment_uses (token_hash, key_hash);
