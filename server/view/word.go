package view

import (
	"github.com/steward-rmm/steward/server/patch"
)

// Word is one of the six words that lists show for an update; the full state
// is on the device's page.
type Word string

// The words. WordNone is for what is no longer on any list: denied, superseded.
const (
	WordWaiting Word = "waiting"
	WordTonight Word = "tonight"
	WordRunning Word = "running"
	WordRestart Word = "restart_needed"
	WordDone    Word = "done"
	WordNeeds   Word = "needs_you"
	WordNone    Word = ""
)

// Words lists the six in the order in which a person wants to see them.
func Words() []Word {
	return []Word{WordNeeds, WordRunning, WordRestart, WordTonight, WordWaiting, WordDone}
}

// WordOf is the word of a state. What is available without a decision, failed,
// halted or unknown needs a person.
func WordOf(s patch.State) Word {
	switch s {
	case patch.Available, patch.Failed, patch.Halted, patch.Unknown:
		return WordNeeds
	case patch.Approved, patch.Waiting:
		return WordWaiting
	case patch.Scheduled:
		return WordTonight
	case patch.Downloading, patch.Installing:
		return WordRunning
	case patch.RebootPending:
		return WordRestart
	case patch.Verified:
		return WordDone
	}
	return WordNone
}

// StatesBySeverity lists the open states from the one that needs a person
// most: the first of them that a device has gives the row its worst reason.
func StatesBySeverity() []patch.State {
	return []patch.State{
		patch.Failed, patch.Halted, patch.Unknown, patch.RebootPending, patch.Available,
		patch.Installing, patch.Downloading, patch.Scheduled, patch.Waiting, patch.Approved,
	}
}

// States counts updates by their state.
type States map[patch.State]int

// Open is the number of updates that are still to be installed or under way;
// denied ones are among them, for the device lacks them all the same.
func (s States) Open() int {
	n := 0
	for state, count := range s {
		if state.Open() {
			n += count
		}
	}
	return n
}

// Word is how many updates a word stands for.
func (s States) Word(w Word) int {
	n := 0
	for state, count := range s {
		if WordOf(state) == w {
			n += count
		}
	}
	return n
}

// Worst is the state that needs a person most; "" when nothing is open.
func (s States) Worst() patch.State {
	for _, state := range StatesBySeverity() {
		if s[state] > 0 {
			return state
		}
	}
	return ""
}

// Share is a part of a whole. Of is 0 when nothing is known: never show that
// as 0 % or 100 %.
type Share struct {
	Part int `json:"part"`
	Of   int `json:"of"`
}

// Verified is the share of what should be installed that a scan has proved:
// verified in the last VerifiedFor, of these and all that is approved and not
// yet verified. Undecided, waiting and denied updates are in neither, and what
// is scheduled for its next window is not late yet.
func (s States) Verified() Share {
	share := Share{Part: s[patch.Verified], Of: s[patch.Verified]}
	for state, n := range s {
		switch state {
		case patch.Approved, patch.Downloading, patch.Installing, patch.RebootPending, patch.Failed, patch.Unknown, patch.Halted:
			share.Of += n
		}
	}
	return share
}
