-- +goose Up
-- policies: patch policy documents as written. site_id '' is the tenant's level.
CREATE TABLE policies (
    tenant_id  TEXT    NOT NULL REFERENCES tenants (tenant_id),
    site_id    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    fields     TEXT    NOT NULL, -- JSON object: field → value
    locked     TEXT    NOT NULL, -- JSON list of fields
    off        INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT    NOT NULL, -- JSON actor
    PRIMARY KEY (tenant_id, site_id, name)
) STRICT, WITHOUT ROWID;

-- decisions: what people decided about releases, one for each selector.
CREATE TABLE decisions (
    tenant_id   TEXT    NOT NULL REFERENCES tenants (tenant_id),
    source      TEXT    NOT NULL,
    package     TEXT    NOT NULL, -- glob
    version     TEXT    NOT NULL, -- '' is every version
    decision_id TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    days        INTEGER NOT NULL,
    except_ids  TEXT    NOT NULL, -- JSON list of tenants
    reason      TEXT    NOT NULL,
    expires     INTEGER NOT NULL, -- 0 is never
    decided_by  TEXT    NOT NULL, -- JSON actor
    decided_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, source, package, version)
) STRICT, WITHOUT ROWID;

-- policy_revisions: rises with each change of a tenant's policies or decisions.
CREATE TABLE policy_revisions (
    tenant_id TEXT    NOT NULL PRIMARY KEY REFERENCES tenants (tenant_id),
    number    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
