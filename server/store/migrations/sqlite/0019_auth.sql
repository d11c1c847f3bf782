-- +goose Up
-- people: tenant_id is their home, '*' for the provider's own.
CREATE TABLE people (
    tenant_id     TEXT    NOT NULL REFERENCES tenants (tenant_id),
    person_id     TEXT    NOT NULL,
    email         TEXT    NOT NULL, -- lower case
    name          TEXT    NOT NULL,
    grants        TEXT    NOT NULL, -- JSON
    time_zone     TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    state_reason  TEXT    NOT NULL,
    state_since   INTEGER NOT NULL,
    password_hash TEXT    NOT NULL,
    password_no   INTEGER NOT NULL,
    lockout       TEXT    NOT NULL, -- JSON
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX people_email ON people (email);

CREATE TABLE sessions (
    tenant_id     TEXT    NOT NULL,
    session_id    TEXT    NOT NULL,
    person_id     TEXT    NOT NULL,
    hash          BLOB    NOT NULL,
    created_at    INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL,
    stepped_up_at INTEGER NOT NULL,
    address       TEXT    NOT NULL,
    user_agent    TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, session_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sessions_hash ON sessions (hash);
CREATE UNIQUE INDEX sessions_id ON sessions (session_id);

-- tokens: maker is a person of the tenant, or 'local' for the server's machine.
CREATE TABLE tokens (
    tenant_id    TEXT    NOT NULL REFERENCES tenants (tenant_id),
    token_id     TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    hash         BLOB    NOT NULL,
    grants       TEXT    NOT NULL, -- JSON
    maker        TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    revoked_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, token_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX tokens_hash ON tokens (hash);
CREATE UNIQUE INDEX tokens_id ON tokens (token_id);

-- links: one-time links to sign in or set a password.
CREATE TABLE links (
    tenant_id  TEXT    NOT NULL,
    link_id    TEXT    NOT NULL,
    person_id  TEXT    NOT NULL,
    purpose    TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, link_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX links_hash ON links (hash);
CREATE UNIQUE INDEX links_id ON links (link_id);
