package inventory

import (
	"bytes"
	"strings"
)

// parseOSRelease reads os-release(5): assignments as a shell reads them,
// without expansion. A line that is none is skipped; the last one of a name
// counts.
func parseOSRelease(raw []byte) map[string]string {
	out := map[string]string{}
	for line := range bytes.Lines(raw) {
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if !ok || !osReleaseName(name) {
			continue
		}
		if value, ok = unquoteShell(value); ok {
			out[name] = value
		}
	}
	return out
}

func osReleaseName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// unquoteShell takes the quotes off a shell word. Within double quotes a
// backslash keeps its meaning before $ " \ and ` only.
func unquoteShell(s string) (string, bool) {
	if s == "" {
		return "", true
	}
	quote := s[0]
	if quote != '"' && quote != '\'' {
		return s, !strings.ContainsAny(s, " \t\"'\\$`;&|<>()")
	}
	if len(s) < 2 || s[len(s)-1] != quote {
		return "", false
	}
	s = s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return "", false // the word ended before the line did
		case quote == '"' && s[i] == '\\':
			if i+1 == len(s) {
				return "", false // the closing quote was escaped
			}
			if strings.IndexByte("$\"\\`", s[i+1]) >= 0 {
				i++
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), true
}

// fqdn returns the host's name with its domain when /etc/hosts has one; no
// name server is asked.
func fqdn(hosts []byte, hostname string) string {
	if hostname == "" {
		return ""
	}
	if strings.Contains(hostname, ".") {
		return strings.ToLower(hostname)
	}
	want := strings.ToLower(hostname) + "."
	for line := range bytes.Lines(hosts) {
		text, _, _ := strings.Cut(string(line), "#")
		names := strings.Fields(text)
		for i, name := range names {
			name = strings.ToLower(name)
			if i > 0 && strings.HasPrefix(name, want) && len(name) > len(want) && name != want+"localdomain" {
				return name
			}
		}
	}
	return ""
}
