-- +goose Up
-- Orders and sums of the lists that people look at; the tables are their nouns'.
CREATE INDEX devices_search ON devices (search, device_id);
CREATE INDEX updates_failed ON updates (tenant_id, device_id) WHERE open = 1 AND state IN ('failed', 'unknown');
CREATE INDEX updates_by_release ON updates (source, package, version, state, tenant_id, since, device_id) WHERE open = 1;
CREATE INDEX updates_verified ON updates (since, tenant_id, source, package, version, device_id) WHERE state = 'verified';
CREATE INDEX devices_gone ON devices (device_id) WHERE state IN ('retired', 'revoked');
