package window

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

// zoneMinutes is a zone's local clock, read once for every minute of a period.
type zoneMinutes struct {
	loc     *time.Location
	first   int64   // the period's first minute, in minutes since 1970
	reading []int64 // per minute: the local clock in minutes since 1970
	base    int64   // less than any reading
	shownAt []int32 // per reading after base: the minute that shows it first, or -1
}

func readZone(t testing.TB, name string, from, to time.Time) *zoneMinutes {
	loc, err := LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * 60
	z := &zoneMinutes{loc: loc, first: from.Unix() / 60, base: from.Unix()/60 - 2*day}
	z.shownAt = slices.Repeat([]int32{-1}, int(to.Sub(from)/time.Minute)+4*day)
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		local := at.In(loc)
		y, m, d := local.Date()
		reading := time.Date(y, m, d, local.Hour(), local.Minute(), 0, 0, time.UTC).Unix() / 60
		if first := &z.shownAt[reading-z.base]; *first < 0 {
			*first = int32(len(z.reading))
		}
		z.reading = append(z.reading, reading)
	}
	return z
}

func (z *zoneMinutes) time(i int) time.Time { return time.Unix((z.first+int64(i))*60, 0).UTC() }

// oracle lists a rule's occurrences by going through every local minute of the
// period, by the words of the package comment and nothing of its code.
func (z *zoneMinutes) oracle(rule Rule) []Occurrence {
	shut := z.shutMinutes(rule.Blackout)
	lowest, highest := z.reading[0], z.reading[len(z.reading)-1]
	starts := naiveWeekday
	if rule.Cron != "" {
		starts = func(r Rule) func(int64) bool { return naiveCron(r.Cron) }
	}
	begins := starts(rule)
	var list []Occurrence
	for reading := lowest; reading <= highest; reading++ {
		if !begins(reading) {
			continue
		}
		shown := reading // or what the clock shows after a gap
		for z.shownAt[shown-z.base] < 0 {
			shown++
		}
		o, ok := z.piece(int(z.shownAt[shown-z.base]), int(rule.Duration/time.Minute), shut)
		if !ok {
			continue
		}
		local := time.Unix(reading*60, 0).UTC()
		o.LocalDate, o.LocalStart = DateOf(local), Clock(local.Hour()*60+local.Minute())
		if n := len(list); n > 0 && list[n-1].Opens.Equal(o.Opens) {
			list[n-1] = o
			continue
		}
		list = append(list, o)
	}
	return list
}

// piece is the first stretch of 15 open minutes or more among n minutes from i.
func (z *zoneMinutes) piece(i, n int, shut []bool) (Occurrence, bool) {
	run := 0
	for k := i; k <= i+n && k < len(shut); k++ {
		if k < i+n && !shut[k] {
			run++
			continue
		}
		if run >= 15 {
			return Occurrence{Opens: z.time(k - run), Closes: z.time(k), Cut: run != n}, true
		}
		run = 0
	}
	return Occurrence{}, false
}

func (z *zoneMinutes) shutMinutes(ranges []DateRange) []bool {
	shut := make([]bool, len(z.reading))
	for _, r := range ranges {
		from := time.Date(r.From.Year, r.From.Month, r.From.Day, 0, 0, 0, 0, time.UTC).Unix() / 60
		to := time.Date(r.To.Year, r.To.Month, r.To.Day+1, 0, 0, 0, 0, time.UTC).Unix() / 60
		first, last := -1, -1
		for i, reading := range z.reading {
			if from <= reading && reading < to {
				if first < 0 {
					first = i
				}
				last = i
			}
		}
		for i := first; first >= 0 && i <= last; i++ {
			shut[i] = true
		}
	}
	return shut
}

// naiveCron matches a local minute by reading the fields' text.
func naiveCron(line string) func(int64) bool {
	f := strings.Fields(line)
	tables := make([]map[int]bool, 5)
	for i, bounds := range [][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}} {
		tables[i] = map[int]bool{}
		for n := bounds[0]; n <= bounds[1]; n++ {
			tables[i][n] = naiveField(f[i], n, bounds[0], bounds[1])
		}
	}
	minuteOfDay := make([]bool, 1440)
	for m := range minuteOfDay {
		minuteOfDay[m] = tables[0][m%60] && tables[1][m/60]
	}
	return func(reading int64) bool {
		if !minuteOfDay[reading%1440] {
			return false
		}
		local := time.Unix(reading*60, 0).UTC()
		return tables[2][local.Day()] && tables[3][int(local.Month())] && tables[4][int(local.Weekday())]
	}
}

func naiveField(field string, n, low, high int) bool {
	for item := range strings.SplitSeq(field, ",") {
		part, stepText, stepped := strings.Cut(item, "/")
		a, b, ranged := strings.Cut(part, "-")
		from, to := low, high
		if part != "*" {
			from, _ = strconv.Atoi(a)
			switch {
			case ranged:
				to, _ = strconv.Atoi(b)
			case !stepped:
				to = from
			}
		}
		step := 1
		if stepped {
			step, _ = strconv.Atoi(stepText)
		}
		if n >= from && n <= to && (n-from)%step == 0 {
			return true
		}
	}
	return false
}

// naiveWeekday counts the days of a month one by one.
func naiveWeekday(rule Rule) func(int64) bool {
	at, _ := time.Parse("15:04", rule.At)
	minute := int64(at.Hour()*60 + at.Minute())
	words := strings.Fields(rule.Weekday)
	if words[0] == "patch" {
		words[0] = "second"
	}
	return func(reading int64) bool {
		if reading%1440 != minute {
			return false
		}
		day := time.Unix(reading*60, 0).UTC().AddDate(0, 0, -rule.OffsetDays)
		var matching []int
		for d := time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, time.UTC); d.Month() == day.Month(); d = d.AddDate(0, 0, 1) {
			if strings.EqualFold(d.Weekday().String(), words[1]) {
				matching = append(matching, d.Day())
			}
		}
		n := map[string]int{"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": len(matching) - 1}[words[0]]
		return n < len(matching) && matching[n] == day.Day()
	}
}

func mustRange(text string) DateRange {
	r, err := ParseDateRange(text)
	if err != nil {
		panic(err)
	}
	return r
}

// oracleZones have half-hour and two-hour steps, changes at midnight and at
// 00:01, a skipped day, Ramadan, and none at all.
func oracleZones() []string {
	return []string{
		"Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/Sao_Paulo",
		"Africa/Casablanca", "Asia/Tehran", "UTC", "America/St_Johns", "Pacific/Chatham", "Antarctica/Troll",
	}
}

func oracleRules(year int) []Rule {
	y := strconv.Itoa(year)
	next := strconv.Itoa(year + 1)
	return []Rule{
		{Cron: "0 22 * * 1-5", Duration: 4 * time.Hour, Blackout: []DateRange{mustRange(y + "-12-24/" + next + "-01-02")}},
		{Cron: "30 2 * * *", Duration: 90 * time.Minute},
		{Cron: "30 1 * * *", Duration: time.Hour, Blackout: []DateRange{mustRange(y + "-11-07"), mustRange(y + "-10-31"), mustRange(next + "-12-30")}},
		{Cron: "*/20 0-3 * * 0,6", Duration: 2 * time.Hour},
		{Cron: "*/15 * * * *", Duration: 15 * time.Minute, Blackout: []DateRange{mustRange(y + "-11-06")}},
		{Cron: "0 */6 1,15,31 * *", Duration: 26 * time.Hour, Blackout: []DateRange{mustRange(y + "-03-15/" + y + "-03-16"), mustRange(y + "-03-02")}},
		{Cron: "0 12 * 3-11/4 *", Duration: 7 * 24 * time.Hour, Blackout: []DateRange{mustRange(y + "-03-13/" + y + "-03-14"), mustRange(next + "-07-01/" + next + "-07-20")}},
		{Cron: "50 23 * * *", Duration: 3 * time.Hour, Blackout: []DateRange{mustRange(y + "-05-05"), mustRange(y + "-05-07"), mustRange(y + "-11-07/" + y + "-11-08")}},
		{Weekday: "second tuesday", OffsetDays: 3, At: "22:00", Duration: 4 * time.Hour},
		{Weekday: "patch tuesday", OffsetDays: 27, At: "02:15", Duration: 6 * time.Hour},
		{Weekday: "last sunday", At: "02:30", Duration: 3 * time.Hour, Blackout: []DateRange{mustRange(y + "-10-31")}},
		{Weekday: "fifth friday", OffsetDays: 1, At: "00:00", Duration: 24 * time.Hour},
	}
}

func TestAgreesWithEveryMinuteOfTwoYears(t *testing.T) {
	years, zones := []int{2010, 2026}, oracleZones()
	if underRace { // nothing here is shared; a taste is enough at a tenth of the speed
		years, zones = years[:1], []string{"America/St_Johns", "Pacific/Apia"}
	}
	for _, year := range years {
		for _, zone := range zones {
			t.Run(strconv.Itoa(year)+"/"+zone, func(t *testing.T) {
				t.Parallel()
				from := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
				// The margin lets windows run to their end inside the minutes read.
				z := readZone(t, zone, from.AddDate(0, 0, -40), from.AddDate(2, 0, 40))
				for i, rule := range oracleRules(year) {
					rule.TimeZone = []string{ZoneDevice, zone}[i%2]
					compareWithOracle(t, z, rule, from, from.AddDate(2, 0, 0), 397)
				}
			})
		}
	}
}

// compareWithOracle holds Between over the whole period, and Next and Contains
// at every edge, a second beside it, and every few minutes.
func compareWithOracle(t testing.TB, z *zoneMinutes, rule Rule, from, to time.Time, stride int) {
	t.Helper()
	want := z.oracle(rule)
	set, err := Compile([]Rule{rule})
	if err != nil {
		t.Fatalf("%+v: %v", rule, err)
	}
	got := Between(set, z.loc, from, to)
	inside := overlapping(want, from, to)
	for i := range max(len(got), len(inside)) {
		if i >= len(got) || i >= len(inside) || got[i] != inside[i] {
			t.Fatalf("%+v in %s: occurrence %d of Between is %v, by the minutes %v", rule, z.loc, i, at(got, i), at(inside, i))
		}
	}
	moments := []time.Time{from}
	for _, o := range inside[:min(len(inside), 400)] {
		for _, beside := range []time.Duration{-time.Second, 0, time.Second, time.Second / 2} {
			moments = append(moments, o.Opens.Add(beside), o.Closes.Add(beside))
		}
	}
	for at := from; at.Before(to); at = at.Add(time.Duration(stride) * time.Minute) {
		moments = append(moments, at)
	}
	for _, m := range moments {
		compareAt(t, z, set, want, m)
	}
}

func compareAt(t testing.TB, z *zoneMinutes, set Set, want []Occurrence, m time.Time) {
	t.Helper()
	i := sort.Search(len(want), func(i int) bool { return want[i].Opens.After(m) })
	if i < len(want) {
		if o, ok := Next(set, z.loc, m); !ok || o != want[i] {
			t.Fatalf("%s in %s: Next is %v, by the minutes %v", m, z.loc, o, want[i])
		}
	}
	o, ok := Contains(set, z.loc, m)
	open := i > 0 && m.Before(want[i-1].Closes)
	if ok != open || open && o != want[i-1] {
		t.Fatalf("%s in %s: Contains is %v, %t; by the minutes %v, %t", m, z.loc, o, ok, at(want, i-1), open)
	}
}

func overlapping(list []Occurrence, from, to time.Time) []Occurrence {
	var inside []Occurrence
	for _, o := range list {
		if o.Opens.Before(to) && o.Closes.After(from) {
			inside = append(inside, o)
		}
	}
	return inside
}

func at(list []Occurrence, i int) any {
	if i < 0 || i >= len(list) {
		return "none"
	}
	return list[i]
}
