package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration written as 30s, 10m, 24h or 3d.
type Duration time.Duration

var durationForm = regexp.MustCompile(`^([0-9]{1,6})(s|m|h|d)$`)

// ParseDuration reads 30s, 10m, 24h, 3d; one number, one unit, at most a year.
func ParseDuration(s string) (Duration, error) {
	m := durationForm.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is no duration: write 30s, 10m, 24h or 3d", s)
	}
	n, _ := strconv.Atoi(m[1]) // at most six digits
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
	d := time.Duration(n) * unit
	if d > 366*24*time.Hour {
		return 0, fmt.Errorf("%q is longer than a year", s)
	}
	return Duration(d), nil
}

func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t == 0:
		return "0s"
	case t%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", t/(24*time.Hour))
	case t%time.Hour == 0:
		return fmt.Sprintf("%dh", t/time.Hour)
	case t%time.Minute == 0:
		return fmt.Sprintf("%dm", t/time.Minute)
	}
	return fmt.Sprintf("%ds", t/time.Second)
}

// MarshalJSON writes the form that ParseDuration reads.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads the form of ParseDuration.
func (d *Duration) UnmarshalJSON(b []byte) error { return unmarshalText(b, d, ParseDuration) }

// Percent is a share in per cent, written 5% or 2.5%; 0 to 100.
type Percent float64

// ParsePercent reads 5% or 2.5%.
func ParsePercent(s string) (Percent, error) {
	number, ok := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || math.IsNaN(v) || v < 0 || v > 100 {
		return 0, fmt.Errorf("%q is no share: write a number from 0%% to 100%%", s)
	}
	return Percent(v), nil
}

func (p Percent) String() string { return strconv.FormatFloat(float64(p), 'f', -1, 64) + "%" }

// Of is the share of n, not rounded.
func (p Percent) Of(n int) float64 { return float64(p) * float64(n) / 100 }

// MarshalJSON writes the form that ParsePercent reads.
func (p Percent) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }

// UnmarshalJSON reads the form of ParsePercent.
func (p *Percent) UnmarshalJSON(b []byte) error { return unmarshalText(b, p, ParsePercent) }

// Allowance is a count, a share, or the larger of both: 2, 10%, max(2, 10%).
type Allowance struct {
	Count int
	Share Percent
}

var maxForm = regexp.MustCompile(`^max\(\s*([0-9]{1,6})\s*,\s*([0-9.]{1,8}%)\s*\)$`)

// ParseAllowance reads a count, a share, or max(count, share).
func ParseAllowance(s string) (Allowance, error) {
	if m := maxForm.FindStringSubmatch(s); m != nil {
		n, _ := strconv.Atoi(m[1])
		p, err := ParsePercent(m[2])
		return Allowance{Count: n, Share: p}, err
	}
	if strings.HasSuffix(s, "%") {
		p, err := ParsePercent(s)
		return Allowance{Share: p}, err
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1_000_000 {
		return Allowance{}, fmt.Errorf("%q is no allowance: write 2, 10%% or max(2, 10%%)", s)
	}
	return Allowance{Count: n}, nil
}

// Of is how many of n are allowed, rounded down.
func (a Allowance) Of(n int) int { return max(a.Count, int(a.Share.Of(n))) }

func (a Allowance) String() string {
	switch {
	case a.Share == 0:
		return strconv.Itoa(a.Count)
	case a.Count == 0:
		return a.Share.String()
	}
	return fmt.Sprintf("max(%d, %s)", a.Count, a.Share)
}

// MarshalJSON writes the form that ParseAllowance reads.
func (a Allowance) MarshalJSON() ([]byte, error) { return json.Marshal(a.String()) }

// UnmarshalJSON reads the form of ParseAllowance, and a bare number.
func (a *Allowance) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '"' {
		b = append(append([]byte{'"'}, b...), '"')
	}
	return unmarshalText(b, a, ParseAllowance)
}

func unmarshalText[T any](b []byte, into *T, parse func(string) (T, error)) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("expected a text, got %s", b)
	}
	v, err := parse(s)
	if err != nil {
		return err
	}
	*into = v
	return nil
}
