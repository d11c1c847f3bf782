package source

import (
	"fmt"
	"strings"
)

// ParseAptOptions reads extra arguments for apt as the machine's administrator
// wrote them, such as
//
//	-o Acquire::http::Proxy="http://proxy:3128" -o Dir::Etc::SourceParts=-
//
// and returns the Key=Value pairs. Words are separated by spaces; single or
// double quotes keep spaces; there is no other quoting, no variable and no
// shell. Only -o and --option are taken: nothing else that apt knows may be
// switched on here.
func ParseAptOptions(s string) ([]string, error) {
	words, err := splitWords(s)
	if err != nil {
		return nil, fmt.Errorf("apt options: %w", err)
	}
	var out []string
	for i := 0; i < len(words); i++ {
		pair := ""
		switch w := words[i]; {
		case w == "-o" || w == "--option":
			if i++; i == len(words) {
				return nil, fmt.Errorf("apt options: %s at the end has no Key=Value", w)
			}
			pair = words[i]
		case strings.HasPrefix(w, "--option="):
			pair = strings.TrimPrefix(w, "--option=")
		case strings.HasPrefix(w, "-o"):
			pair = strings.TrimPrefix(strings.TrimPrefix(w, "-o"), "=")
		default:
			return nil, fmt.Errorf("apt options: %q is not -o Key=Value; only options of that form are allowed", clip(w))
		}
		if err := checkAptOption(pair); err != nil {
			return nil, err
		}
		out = append(out, pair)
	}
	return out, nil
}

// checkAptOption accepts Key=Value with a key as apt.conf(5) writes one.
func checkAptOption(pair string) error {
	key, value, ok := strings.Cut(pair, "=")
	valid := ok && key != "" && isLetter(key[0]) && only(key, func(c byte) bool {
		return isLetter(c) || isDigit(c) || strings.IndexByte(":-_./", c) >= 0
	})
	if !valid {
		return fmt.Errorf("apt options: %q is not Key=Value with a key like Acquire::Retries", clip(pair))
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("apt options: the value of %s holds a control character", key)
	}
	return nil
}

// splitWords cuts at spaces outside of quotes.
func splitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is never closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
