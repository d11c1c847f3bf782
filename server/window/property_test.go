package window

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/fault"
)

func drawField(t *rapid.T, name string, low, high int) string {
	items := rapid.IntRange(1, 3).Draw(t, name+" items")
	parts := make([]string, items)
	for i := range parts {
		a := rapid.IntRange(low, high).Draw(t, name)
		b := rapid.IntRange(a, high).Draw(t, name+" to")
		switch rapid.IntRange(0, 4).Draw(t, name+" form") {
		case 0:
			parts[i] = fmt.Sprintf("%d-%d", a, b)
		case 1:
			parts[i] = fmt.Sprintf("%d-%d/%d", a, b, rapid.IntRange(1, 9).Draw(t, name+" step"))
		case 2:
			parts[i] = fmt.Sprintf("*/%d", rapid.IntRange(2, 9).Draw(t, name+" step"))
		default:
			parts[i] = fmt.Sprint(a)
		}
	}
	return strings.Join(parts, ",")
}

func drawRule(t *rapid.T, zone string) Rule {
	rule := Rule{TimeZone: zone, Duration: time.Duration(rapid.IntRange(15, 3*24*60).Draw(t, "minutes")) * time.Minute}
	if rapid.Bool().Draw(t, "cron") {
		dom, month, dow := "*", "*", "*"
		switch rapid.IntRange(0, 2).Draw(t, "days") {
		case 0:
			dom = drawField(t, "day", 1, 28)
		case 1:
			dow = drawField(t, "weekday", 0, 6)
		}
		if rapid.IntRange(0, 3).Draw(t, "months") == 0 {
			month = drawField(t, "month", 1, 12)
		}
		minute := fmt.Sprint(rapid.IntRange(0, 59).Draw(t, "minute"))
		if rapid.IntRange(0, 4).Draw(t, "dense") == 0 {
			minute = drawField(t, "minute", 0, 59)
		}
		rule.Cron = strings.Join([]string{minute, drawField(t, "hour", 0, 23), dom, month, dow}, " ")
	} else {
		ordinal := rapid.SampledFrom([]string{"first", "second", "third", "fourth", "fifth", "last"}).Draw(t, "ordinal")
		rule.Weekday = ordinal + " " + strings.ToLower(time.Weekday(rapid.IntRange(0, 6).Draw(t, "weekday")).String())
		rule.OffsetDays = rapid.IntRange(0, MaxOffsetDays).Draw(t, "offset")
		rule.At = Clock(rapid.IntRange(0, 24*60-1).Draw(t, "at")).String()
	}
	for range rapid.IntRange(0, 4).Draw(t, "blackouts") {
		from := Date{2010, 9, 15}.dayNumber() + rapid.IntRange(0, 100).Draw(t, "from")
		to := from + rapid.IntRange(0, 9).Draw(t, "days shut")
		rule.Blackout = append(rule.Blackout, DateRange{dateOfDay(from), dateOfDay(to)})
	}
	return rule
}

// TestAnyRuleAgreesWithTheMinutes draws rules around an autumn in which most of
// the zones put their clocks back, some of them over midnight.
func TestAnyRuleAgreesWithTheMinutes(t *testing.T) {
	from, to := time.Date(2010, 9, 20, 0, 0, 0, 0, time.UTC), time.Date(2010, 12, 10, 0, 0, 0, 0, time.UTC)
	zones := map[string]*zoneMinutes{}
	for _, name := range oracleZones() {
		zones[name] = readZone(t, name, from.AddDate(0, 0, -12), to.AddDate(0, 0, 12))
	}
	rapid.Check(t, func(t *rapid.T) {
		z := zones[rapid.SampledFrom(oracleZones()).Draw(t, "zone")]
		rule := drawRule(t, z.loc.String())
		all := z.oracle(rule)
		want := overlapping(all, from, to)
		set, err := Compile([]Rule{rule})
		if err != nil {
			t.Fatalf("%+v: %v", rule, err)
		}
		got := Between(set, nil, from, to)
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("%+v: occurrence %d is %v, by the minutes %v", rule, i, at(got, i), at(want, i))
			}
		}
		moment := from.Add(time.Duration(rapid.Int64Range(0, int64(to.Sub(from))-1).Draw(t, "moment")))
		i := sort.Search(len(all), func(i int) bool { return all[i].Opens.After(moment) })
		if o, ok := Next(set, nil, moment); i < len(all) && (!ok || o != all[i]) {
			t.Fatalf("%+v after %s: %v, by the minutes %v", rule, moment, o, all[i])
		}
		o, ok := Contains(set, nil, moment)
		if open := i > 0 && moment.Before(all[i-1].Closes); ok != open || open && o != all[i-1] {
			t.Fatalf("%+v at %s: %v, %t, by the minutes %t", rule, moment, o, ok, open)
		}
	})
}

// TestEachOccurrenceOnceAndInOrder holds for sets of rules in any zone and any
// stretch: keys are unique, one opening per rule and instant, lengths within
// bounds, and Next walks through exactly what Between lists.
func TestEachOccurrenceOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(oracleZones()).Draw(t, "zone")
		rules := []Rule{drawRule(t, zone), drawRule(t, zone)}
		set, err := Compile(rules)
		if err != nil {
			t.Fatal(err)
		}
		from := time.Unix(rapid.Int64Range(1_200_000_000, 2_200_000_000).Draw(t, "from"), 0)
		to := from.AddDate(0, 0, rapid.IntRange(1, 40).Draw(t, "days"))
		keys, instants := map[string]bool{}, map[string]bool{}
		opens := map[time.Time]bool{}
		for _, o := range Between(set, nil, from, to) {
			instant := fmt.Sprint(o.RuleIndex, o.Opens)
			if keys[o.Key()] || instants[instant] {
				t.Fatalf("%+v: %s is there twice", rules, o.Key())
			}
			keys[o.Key()], instants[instant] = true, true
			length := o.Closes.Sub(o.Opens)
			if want := rules[o.RuleIndex].Duration; length > want || length < MinLength || (length != want) != o.Cut {
				t.Fatalf("%+v: %v is %s long", rules, o, length)
			}
			if o.Opens.After(from) {
				opens[o.Opens] = true
			}
		}
		for at := from; ; {
			o, ok := Next(set, nil, at)
			if !ok || !o.Opens.Before(to) {
				break
			}
			if !o.Opens.After(at) || !opens[o.Opens] {
				t.Fatalf("%+v: Next after %s is %v, which Between has not", rules, at, o)
			}
			delete(opens, o.Opens)
			at = o.Opens
		}
		if len(opens) != 0 {
			t.Fatalf("%+v: Next never came to %v", rules, opens)
		}
	})
}

// FuzzCheck holds that any text is refused as Invalid or makes a rule that opens.
func FuzzCheck(f *testing.F) {
	for _, line := range []string{
		"0 22 * * 1-5", "TZ=0", "CRON_TZ=UTC", "@every 1s", "@daily", "0 0 30 2 *", "*/0 * * * *", "0 0 22 * * *", "1-2-3 * * * *",
		"1/2/3 * * * *", "? ? ? ? ?", "0 0 29 feb *", "0 0 * * sun#2", ", , , , ,", "59/9223372036854775807 * * * *", "*-1 * * * *",
	} {
		f.Add(line, "", "", 0, int64(4*time.Hour), "UTC", "")
	}
	f.Add("", "second tuesday", "22:00", 3, int64(4*time.Hour), "Europe/Paris", "2026-12-24/2027-01-02")
	f.Add("", "fifth fri", "00:00", 27, int64(MaxLength), "device", "0001-01-01/9999-12-31")
	f.Add("", "patch\ttuesday", "23:59", 0, int64(MinLength), "../UTC", "2026-02-30")
	f.Fuzz(func(t *testing.T, cron, weekday, at string, offset int, duration int64, zone, blackout string) {
		rule := Rule{Cron: cron, Weekday: weekday, At: at, OffsetDays: offset, Duration: time.Duration(duration), TimeZone: zone}
		if r, err := ParseDateRange(blackout); err == nil {
			rule.Blackout = []DateRange{r}
			if again, err := ParseDateRange(r.String()); err != nil || again != r {
				t.Fatalf("%q came back as %v, %v", blackout, again, err)
			}
		}
		if Describe(rule) == "" {
			t.Fatal("no description")
		}
		set, err := Compile([]Rule{rule})
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v is not Invalid", err)
			}
			return
		}
		now := time.Date(2026, 6, 6, 0, 0, 0, 0, time.UTC)
		o, ok := Next(set, nil, now)
		if !ok {
			if len(rule.Blackout) == 0 {
				t.Fatalf("%+v never opens", rule)
			}
			return
		}
		if inside, open := Contains(set, nil, o.Opens); !o.Opens.After(now) || !open || inside != o {
			t.Fatalf("%+v opens at %v, where %v is open", rule, o, inside)
		}
	})
}
