// Package window says when installing may start.
//
// A Rule is what a person writes: a cron line or "second tuesday", a length, a
// zone, blackout dates. Compile checks rules and makes a Set; Next, Contains
// and Between answer questions about it. Everything here is a pure function:
// the current time is an argument, and so is the zone of a device or a site.
//
// The promises, held by an oracle that walks every minute of several years:
//
//   - An occurrence is (rule, local date, local start); each exists at most
//     once, whatever the zone does, and a rule opens at most once per instant.
//     Where several local starts of a rule open at the same instant (a gap, the
//     end of a blackout) the last of them stands, which closes last.
//   - A local start that a zone skips opens at the first instant after the gap;
//     one that it repeats opens at the first of the two.
//   - The length is elapsed time, not a difference of wall clocks.
//   - A blackout is whole local dates, both ends included. A window is cut at
//     its edges: the first piece of at least MinLength stands, and an
//     occurrence without such a piece is skipped.
//
// Cron lines are parsed by robfig/cron and evaluated here, because its own
// clock skips starts in a gap, repeats them in an overlap and treats
// day-of-month and day-of-week as alternatives.
package window

import (
	"strconv"
	"time"
	_ "time/tzdata" // zones must be known on machines without a zone database
)

const (
	// MinLength is the shortest window worth opening, whole or cut.
	MinLength = 15 * time.Minute
	// MaxLength is the longest window; longer ones would overlap a weekly rule.
	MaxLength = 7 * 24 * time.Hour
	// MaxOffsetDays bounds OffsetDays, so that months keep their order.
	MaxOffsetDays = 27

	// ZoneDevice and ZoneSite as a Rule's TimeZone mean that the caller brings
	// the zone: the device's own, or its site's.
	ZoneDevice = "device"
	ZoneSite   = "site"
)

// Rule is one line of a policy's windows, as written. Either Cron is set, or
// Weekday and At are.
type Rule struct {
	// Cron has five fields: minute, hour, day of month, month, day of week.
	Cron string `json:"cron,omitempty"`
	// Weekday is "second tuesday", "last friday", "patch tuesday" and the like,
	// counted within the month.
	Weekday string `json:"weekday,omitempty"`
	// OffsetDays are added to the day that Weekday finds, 0 to MaxOffsetDays.
	OffsetDays int `json:"offset_days,omitempty"`
	// At is the local start for Weekday, "22:00".
	At string `json:"at,omitempty"`
	// Duration is elapsed time from opening to closing, in whole minutes
	// (JSON: nanoseconds).
	Duration time.Duration `json:"duration"`
	// TimeZone is an IANA name, ZoneDevice or ZoneSite.
	TimeZone string `json:"time_zone"`
	// Blackout lists local dates, in the window's zone, on which it stays shut.
	Blackout []DateRange `json:"blackout,omitempty"`
}

// Occurrence is one opening of one rule. Times are in UTC and whole seconds;
// two occurrences of the same Set are the same one exactly when they are ==.
type Occurrence struct {
	// RuleIndex is the rule's place in the Set, from 0.
	RuleIndex int `json:"rule_index"`
	// LocalDate and LocalStart are what the rule asked for, in its zone. Opens
	// is later than that when the zone skips it or a blackout covers it.
	LocalDate  Date  `json:"local_date"`
	LocalStart Clock `json:"local_start"`
	// Opens is the first instant inside, Closes the first one after.
	Opens  time.Time `json:"opens"`
	Closes time.Time `json:"closes"`
	// Cut says that a blackout took a part of it.
	Cut bool `json:"cut,omitempty"`
}

// Key names the occurrence within its policy, for example "0/2026-03-29/02:30".
func (o Occurrence) Key() string {
	return strconv.Itoa(o.RuleIndex) + "/" + o.LocalDate.String() + "/" + o.LocalStart.String()
}
