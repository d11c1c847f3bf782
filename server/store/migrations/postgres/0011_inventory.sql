-- +goose Up
-- inventory_sections: what was last confirmed of each part of a device.
CREATE TABLE inventory_sections (
    tenant_id  text COLLATE "C" NOT NULL,
    device_id  text COLLATE "C" NOT NULL,
    section    text COLLATE "C" NOT NULL,
    hash       bytea NOT NULL,
    updated_at bigint NOT NULL,
    scanned_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, device_id, section),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);

CREATE TABLE inventory_items (
    tenant_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    section   text COLLATE "C" NOT NULL,
    item      text COLLATE "C" NOT NULL,
    facts     text COLLATE "C" NOT NULL, -- JSON object
    PRIMARY KEY (tenant_id, device_id, section, item),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);

-- inventory_history: seq rises per device.
CREATE TABLE inventory_history (
    tenant_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    seq       bigint NOT NULL,
    at        bigint NOT NULL,
    section   text COLLATE "C" NOT NULL,
    item      text COLLATE "C" NOT NULL,
    before    text COLLATE "C" NOT NULL, -- JSON object, '' when it appeared
    after     text COLLATE "C" NOT NULL, -- JSON object, '' when it went away
    PRIMARY KEY (tenant_id, device_id, seq),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id)
);

-- releases: shared by all tenants; says nothing of who has them.
CREATE TABLE releases (
    source     text COLLATE "C" NOT NULL,
    package    text COLLATE "C" NOT NULL,
    version    text COLLATE "C" NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    severity   text COLLATE "C" NOT NULL,
    first_seen bigint NOT NULL,
    PRIMARY KEY (source, package, version)
);
