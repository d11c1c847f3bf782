package source

import "strings"

// StepKind derives the kind of an update from the step between two versions,
// for sources that tell nothing better: the first number changed is a major
// step, the second a minor one, anything later a patch. It compares upstream
// versions with epoch and Debian revision taken off; a changed epoch is a
// major step, since its vendor began to count anew. Versions that do not begin
// with numbers are unknown.
func StepKind(from, to string) Kind {
	fe, fu, fr := splitDebian(from)
	te, tu, tr := splitDebian(to)
	fn, tn := leadingNumbers(fu), leadingNumbers(tu)
	switch {
	case len(fn) == 0 || len(tn) == 0 || from == to:
		return KindUnknown
	case compareNumber(fe, te) != 0, compareNumber(fn[0], tn[0]) != 0:
		return KindAppMajor
	case compareNumber(part(fn, 1), part(tn, 1)) != 0:
		return KindAppMinor
	case fu != tu || fr != tr:
		return KindAppPatch
	default:
		return KindUnknown
	}
}

// leadingNumbers returns the numbers at the head of a version: 2.36 in
// 2.36+dfsg1.
func leadingNumbers(v string) []string {
	var out []string
	for {
		n := digitEnd(v)
		if n == 0 {
			return out
		}
		out = append(out, v[:n])
		if v = v[n:]; !strings.HasPrefix(v, ".") {
			return out
		}
		v = v[1:]
	}
}

func part(numbers []string, i int) string {
	if i < len(numbers) {
		return numbers[i]
	}
	return ""
}
