-- +goose Up
CREATE TABLE enrollments (
    tenant_id     text COLLATE "C" NOT NULL,
    enrollment_id text COLLATE "C" NOT NULL,
    site_id       text COLLATE "C" NOT NULL,
    class         text COLLATE "C" NOT NULL,
    tags          text COLLATE "C" NOT NULL, -- JSON list
    uses          bigint NOT NULL,
    used          bigint NOT NULL,
    per_minute    bigint NOT NULL,
    expires_at    bigint NOT NULL,
    may_install   bigint NOT NULL,
    created_by    text COLLATE "C" NOT NULL, -- JSON actor
    created_at    bigint NOT NULL,
    revoked_at    bigint NOT NULL, -- 0: not revoked
    token_hash    bytea NOT NULL,
    PRIMARY KEY (tenant_id, enrollment_id),
    FOREIGN KEY (tenant_id, site_id) REFERENCES sites (tenant_id, site_id)
);
CREATE UNIQUE INDEX enrollments_token ON enrollments (token_hash);

-- enrollment_uses: which key became which device; token and key are unique
-- together, so that an enrollment told twice is one.
CREATE TABLE enrollment_uses (
    tenant_id     text COLLATE "C" NOT NULL,
    enrollment_id text COLLATE "C" NOT NULL,
    token_hash    bytea NOT NULL,
    key_hash      bytea NOT NULL,
    device_id     text COLLATE "C" NOT NULL,
    at            bigint NOT NULL,
    PRIMARY KEY (tenant_id, enrollment_id, key_hash),
    FOREIGN KEY (tenant_id, enrollment_id) REFERENCES enrollments (tenant_id, enrollment_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);
CREATE UNIQUE INDEX enrollment_uses_key ON enrollment_uses (token_hash, key_hash);
