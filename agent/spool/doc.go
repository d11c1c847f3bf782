// Package spool is the agent's durable journal: the jobs that it holds and how
// far they are, the events that the server has not acknowledged, the last
// picture of the inventory that was told, and the reports that wait to be sent.
// Transport and runner meet here and nowhere else.
//
// What it promises:
//   - a change of state and the event that tells it are one transaction;
//   - an event is dropped only when the server acknowledged its number;
//   - a lease starts at most once, whatever crashes and whatever is repeated;
//   - when the disk is full, reports go first and job events have a reserve.
//
// Open keeps the journal in the file journal.db (bbolt); NewMemory keeps it in
// memory, for the simulated fleet. Both are one code over two small stores and
// pass the same suite, spool/spooltest. Values are JSON.
package spool
