package inventory

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Placeholder reports whether a text of the firmware (serial, model, asset
// tag, UUID) is what a maker leaves behind instead of filling it in. Two
// machines with the same placeholder are not the same machine.
func Placeholder(s string) bool {
	plain := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, clean(s))
	first, size := utf8.DecodeRuneInString(plain)
	if plain == "" || len(plain) == size || strings.Count(plain, string(first))*size == len(plain) {
		return true // "", "0", "…", "0000-0000", "xxxxxxxx", "ffffffff-ffff-…"
	}
	if len(plain) >= 4 && strings.HasPrefix("1234567890123456789", strings.TrimPrefix(plain, "0")) {
		return true // counted up: 0123456789, 12345678
	}
	return leftBehind(plain)
}

// leftBehind is the table of such texts, letters and digits only. Collected
// from what firmware of many makers answers; a miss costs a person a question,
// so it grows by what is seen.
func leftBehind(plain string) bool {
	switch plain {
	case "none", "na", "nil", "null", "oem", "unknown", "default", "defaultstring", "empty", "invalid", "reserved", "undefined",
		"notspecified", "notapplicable", "notavailable", "notprovided", "notset", "notpresent", "unspecified", "placeholder", "tbd":
		return true // general
	case "tobefilledbyoem", "tobefilledbyoemo", "tobefilled", "filledbyoem", "oemdefaultstring", "oemserial", "oemstring":
		return true // for the maker of the whole machine to fill
	case "systemserialnumber", "systemserial", "systemproductname", "systemmanufacturer", "systemname", "systemversion",
		"systemmodel", "systemuuid", "systemsku", "systemskunumber",
		"baseboardserialnumber", "boardserialnumber", "mbserialnumber", "mb1234567890",
		"chassisserialnumber", "chassismanufacture", "chassismanufacturer", "chassisversion",
		"serialnumber", "serial", "sernum", "sernum0", "sn", "sku", "skunumber", "productname", "productversion", "manufacturer", "version", "model":
		return true // the field's own name
	case "noassettag", "noassetinformation", "assettag", "asset1234567890", "assettagnumber", "noserial", "noserialnumber",
		"dimmserial", "partnum0", "partnumber", "manufacturer0", "arraypartnumber", "modulepartnumber", "moduleserial", "nodimm", "nomodule",
		"nomoduleinstalled", "0123456789abcdef", "123456789abcdef":
		return true // of parts
	case "03000200040005000006000700080009", "00020003000400050006000700080009", "12345678123456789012123456789abc",
		"123456781234567890abcddeefaabbcc":
		return true // UUIDs that boards are sold with by the thousand
	}
	return false
}
