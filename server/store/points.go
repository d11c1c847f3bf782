package store

// Points returns the names of all crash points, in the order of a write. Each
// stands between two steps of which at least one is durable; Options.Hook is
// called with the name there. "steward" is the main database, "samples" that
// of the samples (on PostgreSQL the same one).
func Points() []string {
	return []string{
		"migrate.before",        // before migrations that are pending
		"migrate.after",         // after them
		"term.after",            // the new term is written
		"steward.begin",         // before a transaction begins
		"steward.unit",          // a unit has run, nothing is committed
		"steward.before-commit", // all units have run
		"steward.after-commit",  // durable, nobody has been told
		"steward.answered",      // the callers know
		"samples.begin",
		"samples.unit",
		"samples.before-commit",
		"samples.after-commit",
		"samples.answered",
		"reserve.freed", // the disk was full and the reserve file is gone
	}
}
