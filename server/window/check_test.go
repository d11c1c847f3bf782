package window

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// nightly is a correct rule to spoil one field at a time.
func nightly() Rule {
	return Rule{Cron: "0 22 * * 1-5", Duration: 4 * time.Hour, TimeZone: ZoneDevice}
}

func monthly() Rule {
	return Rule{Weekday: "second tuesday", OffsetDays: 3, At: "22:00", Duration: 4 * time.Hour, TimeZone: "Europe/Paris"}
}

func cronRule(line string) Rule {
	r := nightly()
	r.Cron = line
	return r
}

func spoil(r Rule, change func(*Rule)) Rule {
	change(&r)
	return r
}

func TestCheckAccepts(t *testing.T) {
	for _, rule := range []Rule{
		nightly(), monthly(),
		cronRule("*/15 0-6,20-23 * jan-mar *"), cronRule("0 0 29 2 *"), cronRule("0 3 ? * MON,wed"), cronRule("5/20 1 1-31/2 * *"),
		cronRule("* * * * *"),
		spoil(nightly(), func(r *Rule) { r.Duration = MinLength }),
		spoil(nightly(), func(r *Rule) { r.Duration = MaxLength }),
		spoil(nightly(), func(r *Rule) { r.TimeZone = ZoneSite }),
		spoil(nightly(), func(r *Rule) { r.TimeZone = "Etc/GMT+5" }),
		spoil(monthly(), func(r *Rule) { r.Weekday = "  Patch   TUESDAY " }),
		spoil(monthly(), func(r *Rule) { r.Weekday = "5th fri" }),
		spoil(monthly(), func(r *Rule) { r.Weekday, r.OffsetDays = "last sunday", MaxOffsetDays }),
		spoil(monthly(), func(r *Rule) { r.Blackout = []DateRange{mustRange("2026-02-28/2026-02-28")} }),
	} {
		if err := Check(rule); err != nil {
			t.Errorf("%+v: %v", rule, err)
		}
	}
}

func TestCheckRefusesWithFieldAndNextStep(t *testing.T) {
	for _, c := range []struct {
		rule  Rule
		field string
		says  string
	}{
		{cronRule("0 0 22 * * 1-5"), "cron", "seconds"},
		{cronRule("@every 1h"), "cron", "shorthand"},
		{cronRule("@daily"), "cron", "shorthand"},
		{cronRule("TZ=0"), "cron", "variable"},
		{cronRule("CRON_TZ=UTC"), "cron", "variable"},
		{cronRule("TZ=Europe/Paris 0 22 * * *"), "cron", "variable"},
		{cronRule("0 22 1 * 1"), "cron", "both day-of-month and day-of-week"},
		{cronRule("0 22 */2 * mon"), "cron", "both day-of-month and day-of-week"},
		{cronRule("0 0 30 2 *"), "cron", "never fires"},
		{cronRule("0 0 31 2,4,6,9,11 *"), "cron", "never fires"},
		{cronRule("0 24 * * *"), "cron", "not understood"},
		{cronRule("60 0 * * *"), "cron", "not understood"},
		{cronRule("0 22 * * 7"), "cron", "not understood"},
		{cronRule("0 22 * * 5-1"), "cron", "not understood"},
		{cronRule("*/0 22 * * *"), "cron", "not understood"},
		{cronRule("-1 22 * * *"), "cron", "not understood"},
		{cronRule("0 22 L * *"), "cron", "not understood"},
		{cronRule("0 22 * * 2#2"), "cron", "not understood"},
		{cronRule(", 22 * * *"), "cron", "empty item"},
		{cronRule("*-5 22 * * *"), "cron", "start of a range"},
		{cronRule("0 22 * *"), "cron", "4 fields"},
		{cronRule("   "), "cron", "0 fields"},
		{cronRule(strings.Repeat("0,", 200) + "0 1 * * *"), "cron", "longer than"},
		{Rule{Duration: time.Hour, TimeZone: "UTC"}, "cron", "neither"},
		{spoil(nightly(), func(r *Rule) { r.Weekday = "first monday" }), "cron", "both cron and weekday"},
		{spoil(nightly(), func(r *Rule) { r.At = "22:00" }), "at", "own start"},
		{spoil(nightly(), func(r *Rule) { r.OffsetDays = 1 }), "offset_days", "no offset"},
		{spoil(nightly(), func(r *Rule) { r.Duration = MinLength - time.Minute }), "duration", "shorter"},
		{spoil(nightly(), func(r *Rule) { r.Duration = -time.Hour }), "duration", "shorter"},
		{spoil(nightly(), func(r *Rule) { r.Duration = MaxLength + time.Minute }), "duration", "longer"},
		{spoil(nightly(), func(r *Rule) { r.Duration = time.Hour + time.Second }), "duration", "whole minutes"},
		{spoil(nightly(), func(r *Rule) { r.TimeZone = "" }), "time_zone", "no time zone"},
		{spoil(nightly(), func(r *Rule) { r.TimeZone = "Local" }), "time_zone", "not a time zone"},
		{spoil(nightly(), func(r *Rule) { r.TimeZone = "Europe/Atlantis" }), "time_zone", "not a known"},
		{spoil(nightly(), func(r *Rule) { r.TimeZone = "../../etc/passwd" }), "time_zone", "not a time zone"},
		{spoil(nightly(), func(r *Rule) { r.Blackout = []DateRange{{Date{2027, 1, 2}, Date{2026, 12, 24}}} }), "blackout[0]", "ends before"},
		{spoil(nightly(), func(r *Rule) { r.Blackout = []DateRange{{Date{2026, 2, 30}, Date{2026, 3, 1}}} }), "blackout[0]", "calendar"},
		{spoil(nightly(), func(r *Rule) { r.Blackout = []DateRange{{}} }), "blackout[0]", "calendar"},
		{spoil(monthly(), func(r *Rule) { r.Weekday = "tuesday" }), "weekday", "ordinal"},
		{spoil(monthly(), func(r *Rule) { r.Weekday = "sixth tuesday" }), "weekday", "ordinal"},
		{spoil(monthly(), func(r *Rule) { r.Weekday = "second tuseday" }), "weekday", "not a weekday"},
		{spoil(monthly(), func(r *Rule) { r.Weekday = "patch monday" }), "weekday", "patch tuesday"},
		{spoil(monthly(), func(r *Rule) { r.At = "" }), "at", "time of day"},
		{spoil(monthly(), func(r *Rule) { r.At = "24:00" }), "at", "time of day"},
		{spoil(monthly(), func(r *Rule) { r.At = "9:00" }), "at", "time of day"},
		{spoil(monthly(), func(r *Rule) { r.OffsetDays = -1 }), "offset_days", "between 0 and 27"},
		{spoil(monthly(), func(r *Rule) { r.OffsetDays = 28 }), "offset_days", "between 0 and 27"},
	} {
		err := Check(c.rule)
		wrong, ok := err.(*fault.Error)
		if !ok || wrong.Kind != fault.Invalid {
			t.Errorf("%+v: %v, want a fault of kind Invalid", c.rule, err)
			continue
		}
		if wrong.Field != c.field || !strings.Contains(wrong.Message, c.says) || wrong.Next == "" {
			t.Errorf("%+v: %v, want field %s saying %q with a next step", c.rule, err, c.field, c.says)
		}
	}
}

func TestCompileNamesTheRule(t *testing.T) {
	_, err := Compile([]Rule{nightly(), cronRule("@daily")})
	wrong, ok := err.(*fault.Error)
	if !ok || wrong.Field != "[1].cron" {
		t.Fatalf("got %v, want a fault at [1].cron", err)
	}
}

func TestParserPanicsStayInside(t *testing.T) {
	// Given to the parser as they are, these panic in it.
	for _, line := range []string{"TZ=0", "CRON_TZ=UTC"} {
		if _, err := robfigParse(line); err == nil || !strings.Contains(err.Error(), "gave up") {
			t.Errorf("%q: %v, want the caught panic", line, err)
		}
	}
}

func TestRuleSurvivesJSON(t *testing.T) {
	rule := spoil(monthly(), func(r *Rule) { r.Blackout = []DateRange{mustRange("2026-12-24/2027-01-02"), mustRange("2026-05-01")} })
	text, err := json.Marshal(rule)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"weekday":"second tuesday","offset_days":3,"at":"22:00","duration":14400000000000,"time_zone":"Europe/Paris","blackout":["2026-12-24/2027-01-02","2026-05-01"]}`
	if string(text) != want {
		t.Errorf("got %s\nwant %s", text, want)
	}
	var back Rule
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(back); string(again) != want {
		t.Errorf("back again: %s", again)
	}
	if err := json.Unmarshal([]byte(`{"blackout":["2027-01-02/2026-12-24"]}`), &back); !fault.Is(err, fault.Invalid) {
		t.Errorf("a reversed range: %v", err)
	}
}

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		rule Rule
		want string
	}{
		{nightly(), "weekdays 22:00 for 4 h, device's zone"},
		{monthly(), "Patch Tuesday + 3 days 22:00 for 4 h, Europe/Paris"},
		{cronRule("30 12,22 * * *"), "every day 12:30 and 22:30 for 4 h, device's zone"},
		{cronRule("0 1 * 1,7 0,6"), "weekends 01:00 in January and July for 4 h, device's zone"},
		{cronRule("0 1 * * sun"), "Sundays 01:00 for 4 h, device's zone"},
		{cronRule("0 1 * * 1,3,5"), "Mon, Wed and Fri 01:00 for 4 h, device's zone"},
		{cronRule("0 1 1,15 * *"), "day 1 and 15 of the month 01:00 for 4 h, device's zone"},
		{cronRule("0 1 1 4 *"), "day 1 of April 01:00 for 4 h, device's zone"},
		{cronRule("*/5 * * * *"), `cron "*/5 * * * *" for 4 h, device's zone`},
		{cronRule("nonsense"), `cron "nonsense" for 4 h, device's zone`},
		{Rule{Weekday: "last fri", OffsetDays: 1, At: "06:30", Duration: 90 * time.Minute, TimeZone: ZoneSite},
			"last Friday + 1 day 06:30 for 1 h 30 min, site's zone"},
		{spoil(nightly(), func(r *Rule) {
			r.Duration = 45 * time.Minute
			r.Blackout = []DateRange{mustRange("2026-12-24/2027-01-02")}
		}), "weekdays 22:00 for 45 min, device's zone, not 2026-12-24 to 2027-01-02"},
		{spoil(nightly(), func(r *Rule) { r.Blackout = []DateRange{mustRange("2026-12-24")} }),
			"weekdays 22:00 for 4 h, device's zone, not on 2026-12-24"},
		{spoil(nightly(), func(r *Rule) { r.Blackout = []DateRange{mustRange("2026-12-24"), mustRange("2026-05-01")} }),
			"weekdays 22:00 for 4 h, device's zone, with 2 blackouts"},
	} {
		if got := Describe(c.rule); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
