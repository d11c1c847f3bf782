package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
)

// Field is a word of the filter language.
type Field string

// The fields. FieldText is a bare word: part of the host name, a tag, or the
// serial number.
const (
	FieldOS      Field = "os"      // windows, macos, linux
	FieldTag     Field = "tag"     // exactly
	FieldUpdates Field = "updates" // > >= = <= < a number of open updates
	FieldOnline  Field = "online"  // true, false
	FieldOffline Field = "offline" // for at least 1h, 3d …
	FieldClass   Field = "class"
	FieldState   Field = "state"
	FieldSite    Field = "site"
	FieldTenant  Field = "tenant"
	FieldName    Field = "name"    // part of the host name
	FieldUpdate  Field = "update"  // has an open update in this state
	FieldPackage Field = "package" // has an open update of this package, exactly
	FieldSource  Field = "source"  // has an open update of this source
	FieldText    Field = "text"
)

// Fields lists the fields that can be written before a colon.
func Fields() []Field {
	return []Field{FieldOS, FieldTag, FieldUpdates, FieldOnline, FieldOffline, FieldClass, FieldState, FieldSite, FieldTenant,
		FieldName, FieldUpdate, FieldPackage, FieldSource, FieldText}
}

// Op compares a field with its value.
type Op string

// The comparisons. Only FieldUpdates has others than Is.
const (
	Is        Op = ":"
	More      Op = ">"
	AtLeast   Op = ">="
	Less      Op = "<"
	AtMost    Op = "<="
	EqualOnly Op = "="
)

// Term is one condition. Values are alternatives (state:active,stale).
type Term struct {
	Field  Field
	Op     Op
	Not    bool // written with a leading minus
	Values []string
	Number int           // of FieldUpdates
	For    time.Duration // of FieldOffline
	Flag   bool          // of FieldOnline
	At     int           // position of its first character, from 1
	Text   string        // as it was written
}

// Filter is a parsed filter: all terms hold. The zero value matches all.
type Filter struct{ Terms []Term }

// Has reports whether a term is about the field.
func (f Filter) Has(field Field) bool {
	return slices.ContainsFunc(f.Terms, func(t Term) bool { return t.Field == field })
}

// String is the filter in its one form: single spaces, quotes where needed.
func (f Filter) String() string {
	texts := make([]string, len(f.Terms))
	for i, t := range f.Terms {
		texts[i] = t.String()
	}
	return strings.Join(texts, " ")
}

// String is the term in its one form.
func (t Term) String() string {
	minus := ""
	if t.Not {
		minus = "-"
	}
	var value string
	switch t.Field {
	case FieldUpdates:
		value = strconv.Itoa(t.Number)
	case FieldOnline:
		value = strconv.FormatBool(t.Flag)
	case FieldOffline:
		value = policy.Duration(t.For).String()
	default:
		quoted := make([]string, len(t.Values))
		for i, v := range t.Values {
			quoted[i] = quote(v)
		}
		value = strings.Join(quoted, ",")
	}
	return minus + string(t.Field) + string(t.Op) + value
}

func quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == ',' || r == '\\' }) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// Limits of a filter.
const (
	MaxFilter = 2000 // bytes
	maxTerms  = 30
	maxValues = 50 // alternatives of one term
	maxValue  = 200
)

// Problem marks what is wrong with one word of a filter. It is in the chain of
// ParseFilter's error, for a page that marks the word.
type Problem struct {
	At   int // position of the word's first character, from 1
	Text string
	What string
}

func (p *Problem) Error() string { return fmt.Sprintf("position %d: %s", p.At, p.What) }

// ParseFilter reads a filter such as `os:windows tag:x updates>0 offline:1h`.
// It is strict: an unknown word or value is a fault.Invalid that names the
// position and carries a *Problem; values are not repeated in it.
func ParseFilter(text string) (Filter, error) {
	if len(text) > MaxFilter || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return Filter{}, wrong(word{at: 1}, "the filter is no text of at most %d bytes", MaxFilter)
	}
	words, err := split(text)
	if err != nil {
		return Filter{}, err
	}
	var f Filter
	for _, w := range words {
		t, err := w.term()
		if err != nil {
			return Filter{}, err
		}
		if len(f.Terms) == maxTerms {
			return Filter{}, wrong(w, "more than %d conditions", maxTerms)
		}
		f.Terms = append(f.Terms, t)
	}
	return f, nil
}

func wrong(w word, format string, args ...any) error {
	p := &Problem{At: w.at, Text: w.text, What: fmt.Sprintf(format, args...)}
	return fault.Invalidf("filter", "%s", p.Error()).WithNext("write for example os:windows updates>0 offline:1h").WithCause(p)
}

// word is one piece of the text between spaces. head is what stands before
// the operator; values are unquoted.
type word struct {
	at     int
	text   string
	not    bool
	head   string
	op     Op
	values []string
}

// term gives the word its meaning.
func (w word) term() (Term, error) {
	t := Term{Field: FieldText, Op: Is, Not: w.not, Values: w.values, At: w.at, Text: w.text}
	if w.op != "" {
		t.Field, t.Op = Field(w.head), w.op
		if !slices.Contains(Fields(), t.Field) {
			return t, wrong(w, "no such field; known are %s", joined(Fields()))
		}
	}
	if len(t.Values) > maxValues {
		return t, wrong(w, "more than %d values", maxValues)
	}
	for _, v := range t.Values {
		if v == "" || len(v) > maxValue {
			return t, wrong(w, "a value is empty or longer than %d bytes", maxValue)
		}
	}
	if t.Op != Is && t.Field != FieldUpdates {
		return t, wrong(w, "%s is compared with a colon", t.Field)
	}
	return t.check(w)
}

func (t Term) check(w word) (Term, error) {
	switch t.Field {
	case FieldOS:
		return t, oneOf(w, []string{"windows", "macos", "linux"})
	case FieldClass:
		return t, oneOf(w, []fleet.Class{fleet.Workstation, fleet.Laptop, fleet.Server})
	case FieldState:
		return t, oneOf(w, []fleet.State{fleet.Pending, fleet.Active, fleet.Stale, fleet.Conflict, fleet.Revoked, fleet.Retired})
	case FieldUpdate:
		return t, oneOf(w, StatesBySeverity(), patch.Denied)
	case FieldSource:
		return t, oneOf(w, policy.Sources())
	case FieldSite, FieldTenant:
		for _, v := range t.Values {
			if !ident.ValidSlug(v) {
				return t, wrong(w, "this is no name of a %s", t.Field)
			}
		}
		return t, nil
	case FieldUpdates, FieldOnline, FieldOffline:
		if len(t.Values) != 1 {
			return t, wrong(w, "%s takes one value", t.Field)
		}
		return t.single(w, t.Values[0])
	}
	return t, nil
}

func (t Term) single(w word, value string) (Term, error) {
	t.Values = nil
	switch t.Field {
	case FieldUpdates:
		n, err := strconv.ParseUint(value, 10, 20)
		if err != nil {
			return t, wrong(w, "updates is compared with a number, as in updates>0")
		}
		if t.Number = int(n); t.Op == Is {
			t.Op = EqualOnly
		}
	case FieldOnline:
		if value != "true" && value != "false" {
			return t, wrong(w, "online is true or false")
		}
		t.Flag = value == "true"
	case FieldOffline:
		d, err := policy.ParseDuration(value)
		if err != nil || d <= 0 {
			return t, wrong(w, "offline takes a duration, as in offline:1h")
		}
		t.For = time.Duration(d)
	}
	return t, nil
}

func oneOf[T ~string](w word, known []T, more ...T) error {
	known = slices.Concat(known, more)
	for _, v := range w.values {
		if !slices.Contains(known, T(v)) {
			return wrong(w, "no such value of %s; known are %s", w.head, joined(known))
		}
	}
	return nil
}

func joined[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}
