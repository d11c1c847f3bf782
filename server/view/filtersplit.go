package view

import (
	"strings"
	"unicode"
)

// split cuts a filter into words at spaces outside of quotes.
func split(text string) ([]word, error) {
	runes := []rune(text)
	var words []word
	for i := 0; i < len(runes); {
		if unicode.IsSpace(runes[i]) {
			i++
			continue
		}
		w, end, err := readWord(runes, i)
		if err != nil {
			return nil, err
		}
		words = append(words, w)
		i = end
	}
	return words, nil
}

// readWord reads [-]head op value{,value} or [-]value from start; end is the
// first character after it.
func readWord(runes []rune, start int) (w word, end int, err error) {
	w.at = start + 1
	i := start
	if runes[i] == '-' && i+1 < len(runes) && !unicode.IsSpace(runes[i+1]) {
		w.not = true
		i++
	}
	head := i
	for i < len(runes) && (runes[i] >= 'a' && runes[i] <= 'z' || runes[i] == '_') {
		i++
	}
	if op, n := operator(runes[i:]); n > 0 && i > head {
		w.head, w.op = string(runes[head:i]), op
		i += n
	} else {
		i = head // a bare word
	}
	for {
		var value string
		from := i
		value, i, err = readValue(w, runes, i)
		if err != nil {
			return w, i, err
		}
		w.values = append(w.values, value)
		if i >= len(runes) || runes[i] != ',' || w.op == "" {
			if i < len(runes) && !unicode.IsSpace(runes[i]) && i == from {
				return w, i, wrong(w, "this is no word of the filter")
			}
			break
		}
		i++
	}
	w.text = string(runes[start:i])
	if i < len(runes) && !unicode.IsSpace(runes[i]) {
		return w, i, wrong(w, "a space is missing after the closing quote")
	}
	return w, i, nil
}

func operator(rest []rune) (Op, int) {
	if len(rest) == 0 {
		return "", 0
	}
	equal := len(rest) > 1 && rest[1] == '='
	switch {
	case rest[0] == ':':
		return Is, 1
	case rest[0] == '=':
		return EqualOnly, 1
	case rest[0] == '>' && equal:
		return AtLeast, 2
	case rest[0] == '<' && equal:
		return AtMost, 2
	case rest[0] == '>':
		return More, 1
	case rest[0] == '<':
		return Less, 1
	}
	return "", 0
}

// readValue reads a plain or quoted value. A bare word may hold commas.
func readValue(w word, runes []rune, i int) (string, int, error) {
	if i < len(runes) && runes[i] == '"' {
		return readQuoted(w, runes, i+1)
	}
	from := i
	for i < len(runes) && !unicode.IsSpace(runes[i]) && (w.op == "" || runes[i] != ',') {
		if runes[i] == '"' {
			w.text = string(runes[w.at-1 : i])
			return "", i, wrong(w, "a quote stands in the middle of a word")
		}
		i++
	}
	return string(runes[from:i]), i, nil
}

func readQuoted(w word, runes []rune, i int) (string, int, error) {
	var b strings.Builder
	for ; i < len(runes); i++ {
		switch {
		case runes[i] == '"':
			return b.String(), i + 1, nil
		case runes[i] == '\\' && i+1 < len(runes):
			i++
		}
		b.WriteRune(runes[i])
	}
	w.text = string(runes[w.at-1:])
	return "", i, wrong(w, "the quote is not closed")
}
