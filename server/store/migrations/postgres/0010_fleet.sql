-- +goose Up
-- tenants: the slug is the key. The row '*' is the MSP itself, to which
-- documents of its level and the server's audit chain belong; it has no devices.
CREATE TABLE tenants (
    tenant_id        text COLLATE "C" NOT NULL PRIMARY KEY,
    name             text COLLATE "C" NOT NULL,
    time_zone        text COLLATE "C" NOT NULL,
    mode             text COLLATE "C" NOT NULL,
    changed_per_hour text COLLATE "C" NOT NULL,
    created_at       bigint NOT NULL,
    updated_at       bigint NOT NULL
);
INSERT INTO tenants VALUES ('*', 'MSP', 'UTC', 'observe', '', 0, 0);

CREATE TABLE sites (
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    site_id    text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    time_zone  text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, site_id)
);

CREATE TABLE devices (
    tenant_id     text COLLATE "C" NOT NULL,
    device_id     text COLLATE "C" NOT NULL,
    site_id       text COLLATE "C" NOT NULL,
    hostname      text COLLATE "C" NOT NULL,
    search        text COLLATE "C" NOT NULL, -- lower case: host name and tags
    class         text COLLATE "C" NOT NULL,
    tags          text COLLATE "C" NOT NULL, -- JSON list
    state         text COLLATE "C" NOT NULL,
    reason        text COLLATE "C" NOT NULL,
    since         bigint NOT NULL,
    key_hash      bytea NOT NULL,
    next_key_hash bytea,
    serial        text COLLATE "C" NOT NULL,
    board_uuid    text COLLATE "C" NOT NULL,
    os_family     text COLLATE "C" NOT NULL,
    os_name       text COLLATE "C" NOT NULL,
    os_version    text COLLATE "C" NOT NULL,
    arch          text COLLATE "C" NOT NULL,
    time_zone     text COLLATE "C" NOT NULL,
    agent_version text COLLATE "C" NOT NULL,
    may_install   bigint NOT NULL,
    enrollment_id text COLLATE "C" NOT NULL,
    enrolled_at   bigint NOT NULL,
    last_seen     bigint NOT NULL,
    online        bigint NOT NULL,
    online_since  bigint NOT NULL,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, site_id) REFERENCES sites (tenant_id, site_id)
);
CREATE UNIQUE INDEX devices_id ON devices (device_id);
CREATE UNIQUE INDEX devices_key ON devices (key_hash);

CREATE TABLE presence (
    tenant_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    at        bigint NOT NULL,
    online    bigint NOT NULL,
    PRIMARY KEY (tenant_id, device_id, at),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);
CREATE INDEX presence_at ON presence (tenant_id, at);
