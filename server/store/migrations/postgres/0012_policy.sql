-- +goose Up
-- policies: patch policy documents as written. site_id '' is the tenant's level.
CREATE TABLE policies (
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    site_id    text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    fields     text COLLATE "C" NOT NULL, -- JSON object: field → value
    locked     text COLLATE "C" NOT NULL, -- JSON list of fields
    off        bigint NOT NULL,
    version    bigint NOT NULL,
    updated_at bigint NOT NULL,
    updated_by text COLLATE "C" NOT NULL, -- JSON actor
    PRIMARY KEY (tenant_id, site_id, name)
);

-- decisions: what people decided about releases, one for each selector.
CREATE TABLE decisions (
    tenant_id   text COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    source      text COLLATE "C" NOT NULL,
    package     text COLLATE "C" NOT NULL, -- glob
    version     text COLLATE "C" NOT NULL, -- '' is every version
    decision_id text COLLATE "C" NOT NULL,
    action      text COLLATE "C" NOT NULL,
    days        bigint NOT NULL,
    except_ids  text COLLATE "C" NOT NULL, -- JSON list of tenants
    reason      text COLLATE "C" NOT NULL,
    expires     bigint NOT NULL, -- 0 is never
    decided_by  text COLLATE "C" NOT NULL, -- JSON actor
    decided_at  bigint NOT NULL,
    PRIMARY KEY (tenant_id, source, package, version)
);

-- policy_revisions: rises with each change of a tenant's policies or decisions.
CREATE TABLE policy_revisions (
    tenant_id text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES tenants (tenant_id),
    number    bigint NOT NULL
);
