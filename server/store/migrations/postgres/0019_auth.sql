-- +goose Up
-- people: tenant_id is their home, '*' for the provider's own.
CREATE TABLE people (
    tenant_id     text COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    person_id     text COLLATE "C" NOT NULL,
    email         text COLLATE "C" NOT NULL, -- lower case
    name          text COLLATE "C" NOT NULL,
    grants        text COLLATE "C" NOT NULL, -- JSON
    time_zone     text COLLATE "C" NOT NULL,
    state         text COLLATE "C" NOT NULL,
    state_reason  text COLLATE "C" NOT NULL,
    state_since   bigint NOT NULL,
    password_hash text COLLATE "C" NOT NULL,
    password_no   bigint NOT NULL,
    lockout       text COLLATE "C" NOT NULL, -- JSON
    created_at    bigint NOT NULL,
    PRIMARY KEY (tenant_id, person_id)
);
CREATE UNIQUE INDEX people_email ON people (email);

CREATE TABLE sessions (
    tenant_id     text COLLATE "C" NOT NULL,
    session_id    text COLLATE "C" NOT NULL,
    person_id     text COLLATE "C" NOT NULL,
    hash          bytea NOT NULL,
    created_at    bigint NOT NULL,
    seen_at       bigint NOT NULL,
    stepped_up_at bigint NOT NULL,
    address       text COLLATE "C" NOT NULL,
    user_agent    text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, session_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, person_id)
);
CREATE UNIQUE INDEX sessions_hash ON sessions (hash);
CREATE UNIQUE INDEX sessions_id ON sessions (session_id);

-- tokens: maker is a person of the tenant, or 'local' for the server's machine.
CREATE TABLE tokens (
    tenant_id    text COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    token_id     text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    hash         bytea NOT NULL,
    grants       text COLLATE "C" NOT NULL, -- JSON
    maker        text COLLATE "C" NOT NULL,
    created_at   bigint NOT NULL,
    expires_at   bigint NOT NULL,
    last_used_at bigint NOT NULL,
    revoked_at   bigint NOT NULL,
    PRIMARY KEY (tenant_id, token_id)
);
CREATE UNIQUE INDEX tokens_hash ON tokens (hash);
CREATE UNIQUE INDEX tokens_id ON tokens (token_id);

-- links: one-time links to sign in or set a password.
CREATE TABLE links (
    tenant_id  text COLLATE "C" NOT NULL,
    link_id    text COLLATE "C" NOT NULL,
    person_id  text COLLATE "C" NOT NULL,
    purpose    text COLLATE "C" NOT NULL,
    hash       bytea NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    used_at    bigint NOT NULL,
    PRIMARY KEY (tenant_id, link_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, person_id)
);
CREATE UNIQUE INDEX links_hash ON links (hash);
CREATE UNIQUE INDEX links_id ON links (link_id);
