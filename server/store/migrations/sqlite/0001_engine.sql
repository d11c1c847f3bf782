-- +goose Up
-- What belongs to the installation as a whole: the term of the active server,
-- the server epoch, fingerprints of keys.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
