package window

import (
	"testing"
	"time"
)

func mustSet(t testing.TB, rules ...Rule) Set {
	t.Helper()
	set, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func mustZone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func utc(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func in(zone string, rule Rule) Rule {
	rule.TimeZone = zone
	return rule
}

// TestKnownNights are cases worked out by hand.
func TestKnownNights(t *testing.T) {
	hour := func(line string) Rule { return Rule{Cron: line, Duration: time.Hour} }
	for _, c := range []struct {
		name, key     string
		rule          Rule
		after         string
		opens, closes string
	}{
		{"a start in the gap opens when it ends", "0/2026-03-08/02:30", in("America/New_York", hour("30 2 * * *")),
			"2026-03-08 00:00", "2026-03-08 07:00", "2026-03-08 08:00"},
		{"a start in the overlap opens at the first", "0/2026-11-01/01:30", in("America/New_York", hour("30 1 * * *")),
			"2026-11-01 00:00", "2026-11-01 05:30", "2026-11-01 06:30"},
		{"and not again at the second", "0/2026-11-02/01:30", in("America/New_York", hour("30 1 * * *")),
			"2026-11-01 05:30", "2026-11-02 06:30", "2026-11-02 07:30"},
		{"starts that meet after a gap are one, the last", "0/2026-03-29/03:00", in("Europe/Paris", hour("0,30 2,3 * * *")),
			"2026-03-29 00:45", "2026-03-29 01:00", "2026-03-29 02:00"},
		{"a day that the zone skips opens after it", "0/2011-12-30/22:00", in("Pacific/Apia", hour("0 22 * * *")),
			"2011-12-30 09:30", "2011-12-30 10:00", "2011-12-30 11:00"},
		{"midnight does not exist", "0/2018-11-04/00:00", in("America/Sao_Paulo", hour("0 0 * * *")),
			"2018-11-04 00:00", "2018-11-04 03:00", "2018-11-04 04:00"},
		{"half an hour is skipped", "0/2026-10-04/02:15", in("Australia/Lord_Howe", hour("15 2 * * *")),
			"2026-10-03 15:00", "2026-10-03 15:30", "2026-10-03 16:30"},
		{"length is elapsed time", "0/2026-03-28/22:00", in("Europe/Paris", Rule{Cron: "0 22 * * *", Duration: 8 * time.Hour}),
			"2026-03-28 12:00", "2026-03-28 21:00", "2026-03-29 05:00"},
		{"Patch Tuesday + 3 days", "0/2026-09-11/22:00", monthly(), "2026-09-01 00:00", "2026-09-11 20:00", "2026-09-12 00:00"},
		{"29 February", "0/2104-02-29/00:00", in("UTC", hour("0 0 29 2 *")), "2096-03-01 00:00", "2104-02-29 00:00", "2104-02-29 01:00"},
	} {
		set := mustSet(t, c.rule)
		o, ok := Next(set, nil, utc(c.after))
		if !ok || o.Key() != c.key || !o.Opens.Equal(utc(c.opens)) || !o.Closes.Equal(utc(c.closes)) || o.Cut {
			t.Errorf("%s: got %s %v", c.name, o.Key(), o)
		}
	}
}

func TestBlackoutCutsAtItsEdges(t *testing.T) {
	rule := func(cron string, blackout ...string) Rule {
		r := Rule{Cron: cron, Duration: 4 * time.Hour, TimeZone: "UTC"}
		for _, b := range blackout {
			r.Blackout = append(r.Blackout, mustRange(b))
		}
		return r
	}
	for _, c := range []struct {
		name          string
		rule          Rule
		after         string
		opens, closes string
	}{
		{"end", rule("0 22 * * *", "2026-12-24/2027-01-02"), "2026-12-23 12:00", "2026-12-23 22:00", "2026-12-24 00:00"},
		{"beginning", rule("0 22 * * *", "2026-12-24/2027-01-02"), "2026-12-23 22:00", "2027-01-03 00:00", "2027-01-03 02:00"},
		{"less than 15 minutes before", rule("46 23 * * *", "2026-12-24"), "2026-12-23 12:00", "2026-12-25 00:00", "2026-12-25 03:46"},
		{"15 minutes before", rule("45 23 * * *", "2026-12-24"), "2026-12-23 12:00", "2026-12-23 23:45", "2026-12-24 00:00"},
		{"less than 15 minutes after", rule("14 20 * * *", "2026-12-24"), "2026-12-24 12:00", "2026-12-25 20:14", "2026-12-26 00:14"},
		{"touching ranges are one", rule("0 22 * * *", "2026-12-26", "2026-12-24/2026-12-25"), "2026-12-24 00:00", "2026-12-27 00:00", "2026-12-27 02:00"},
	} {
		set := mustSet(t, c.rule)
		if o, ok := Next(set, nil, utc(c.after)); !ok || !o.Opens.Equal(utc(c.opens)) || !o.Closes.Equal(utc(c.closes)) {
			t.Errorf("%s: got %v", c.name, o)
		}
	}
}

func TestNothingOpensUnderABlackoutOfEverything(t *testing.T) {
	set := mustSet(t, in("UTC", spoil(nightly(), func(r *Rule) { r.Blackout = []DateRange{mustRange("2000-01-01/9999-12-31")} })))
	now := utc("2026-06-01 00:00")
	if o, ok := Next(set, nil, now); ok {
		t.Errorf("opens %v", o)
	}
	if _, ok := Contains(set, nil, now.Add(22*time.Hour)); ok {
		t.Error("is open")
	}
	if list := Between(set, nil, now, now.AddDate(1, 0, 0)); len(list) != 0 {
		t.Errorf("opens %d times", len(list))
	}
}

func TestSeveralRules(t *testing.T) {
	set := mustSet(t,
		Rule{Cron: "0 22 * * *", Duration: time.Hour, TimeZone: "UTC"},
		Rule{Cron: "0 22 * * 6", Duration: 3 * time.Hour, TimeZone: "UTC"},
		Rule{Cron: "0 12 * * *", Duration: time.Hour, TimeZone: ZoneDevice})
	paris := mustZone(t, "Europe/Paris")
	saturday := utc("2026-06-06 00:00")
	list := Between(set, paris, saturday, saturday.AddDate(0, 0, 1))
	var keys []string
	for _, o := range list {
		keys = append(keys, o.Key()+" "+o.Opens.Format("15:04"))
	}
	want := []string{"2/2026-06-06/12:00 10:00", "0/2026-06-06/22:00 22:00", "1/2026-06-06/22:00 22:00"}
	if len(keys) != 3 || keys[0] != want[0] || keys[1] != want[1] || keys[2] != want[2] {
		t.Errorf("got %q, want %q", keys, want)
	}
	if o, ok := Next(set, paris, utc("2026-06-06 12:00")); !ok || o.RuleIndex != 0 {
		t.Errorf("of two at once the first rule: got %v", o)
	}
	if o, ok := Contains(set, paris, utc("2026-06-06 22:30")); !ok || o.RuleIndex != 1 {
		t.Errorf("of two open the one that closes last: got %v", o)
	}
	if set.Len() != 3 || len(Between(set, paris, saturday, saturday)) != 0 {
		t.Error("an empty stretch has no occurrences")
	}
	if _, ok := Next(Set{}, nil, saturday); ok {
		t.Error("no rules, no window")
	}
}

func TestBindFillsInZones(t *testing.T) {
	rule := Rule{Cron: "0 12 * * *", Duration: time.Hour}
	set := mustSet(t, in(ZoneDevice, rule), in(ZoneSite, rule), in("Asia/Kathmandu", rule))
	bound := set.Bind(mustZone(t, "Europe/Paris"), mustZone(t, "America/New_York"))
	from := utc("2026-06-06 00:00")
	var opens []string
	for _, o := range Between(bound, nil, from, from.AddDate(0, 0, 1)) {
		opens = append(opens, o.Opens.Format("15:04"))
	}
	if len(opens) != 3 || opens[0] != "06:15" || opens[1] != "10:00" || opens[2] != "16:00" {
		t.Errorf("got %q", opens)
	}
	if o, _ := Next(set, nil, from.Add(7*time.Hour)); o.Opens != utc("2026-06-06 12:00") {
		t.Errorf("without a zone it is UTC: got %v", o)
	}
}

func TestCatchUpStaysOutOfBlackouts(t *testing.T) {
	set := mustSet(t, in("UTC", spoil(nightly(), func(r *Rule) { r.Blackout = []DateRange{mustRange("2026-12-24/2026-12-26")} })))
	missed, _ := Next(set, nil, utc("2026-12-22 00:00"))
	for _, c := range []struct {
		from, opens, closes string
		ok                  bool
	}{
		{"2026-12-23 09:00", "2026-12-23 09:00", "2026-12-23 21:00", true},
		{"2026-12-23 18:00", "2026-12-23 18:00", "2026-12-24 00:00", true},
		{"2026-12-24 09:00", "", "", false},
		{"2026-12-26 14:00", "2026-12-27 00:00", "2026-12-27 02:00", true},
	} {
		o, ok := CatchUp(set, nil, missed, utc(c.from), 12*time.Hour)
		if ok != c.ok || ok && (!o.Opens.Equal(utc(c.opens)) || !o.Closes.Equal(utc(c.closes)) || o.Key() != missed.Key()) {
			t.Errorf("back at %s: got %v, %t", c.from, o, ok)
		}
	}
	if o, ok := CatchUp(set, nil, missed, utc("2026-12-23 09:00").Add(time.Nanosecond), time.Hour); !ok || o.Opens != utc("2026-12-23 09:00").Add(time.Second) {
		t.Errorf("never before the device is back: got %v", o)
	}
	if _, ok := CatchUp(set, nil, Occurrence{RuleIndex: 1}, utc("2026-12-23 09:00"), time.Hour); ok {
		t.Error("a rule that is not there has no catch-up")
	}
	if until, shut := InBlackout(set, nil, missed, utc("2026-12-25 12:00")); !shut || until != utc("2026-12-27 00:00") {
		t.Errorf("in the blackout: %v, %t", until, shut)
	}
	for _, open := range []string{"2026-12-23 23:59", "2026-12-27 00:00"} {
		if _, shut := InBlackout(set, nil, missed, utc(open)); shut {
			t.Errorf("%s is no blackout", open)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	set := mustSet(b, nightly(), spoil(monthly(), func(r *Rule) { r.TimeZone = ZoneDevice }))
	loc, now := mustZone(b, "America/New_York"), utc("2026-06-06 00:00")
	b.ReportAllocs()
	for b.Loop() {
		Next(set, loc, now)
	}
}

func BenchmarkContains(b *testing.B) {
	set := mustSet(b, nightly(), spoil(monthly(), func(r *Rule) { r.TimeZone = ZoneDevice }))
	loc, now := mustZone(b, "America/New_York"), utc("2026-06-06 03:00")
	b.ReportAllocs()
	for b.Loop() {
		Contains(set, loc, now)
	}
}

func BenchmarkBetween30Days(b *testing.B) {
	set := mustSet(b, nightly(), spoil(monthly(), func(r *Rule) { r.TimeZone = ZoneDevice }))
	loc, now := mustZone(b, "America/New_York"), utc("2026-06-06 00:00")
	b.ReportAllocs()
	for b.Loop() {
		Between(set, loc, now, now.AddDate(0, 0, 30))
	}
}
