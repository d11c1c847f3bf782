package inventory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of structures that are read, from the System Management BIOS
// Reference Specification, DMTF DSP0134 3.7, section 7.
const (
	smbiosFirmware  = 0
	smbiosSystem    = 1
	smbiosBoard     = 2
	smbiosChassis   = 3
	smbiosProcessor = 4
	smbiosModule    = 17
	smbiosEnd       = 127
)

// maxStructures is far above any real table's; it bounds work on a bad one.
const maxStructures = 8192

// structure is one structure of the table: its formatted area with the
// four-byte header, and its strings (DSP0134, section 6.1).
type structure struct {
	kind    byte
	handle  uint16
	area    []byte
	strings []string
}

var errCut = errors.New("cut short")

// parseSMBIOS splits a table into its structures up to the end-of-table one.
// Structures before a broken one are returned with the error.
func parseSMBIOS(table []byte) (all []structure, err error) {
	rest := table
	for len(rest) > 0 {
		if len(all) == maxStructures {
			return all, fmt.Errorf("SMBIOS table: more than %d structures", maxStructures)
		}
		if len(rest) < 4 {
			return all, fmt.Errorf("SMBIOS table, structure at byte %d: %w", len(table)-len(rest), errCut)
		}
		size := int(rest[1])
		if size < 4 || size > len(rest) {
			return all, fmt.Errorf("SMBIOS table, structure of type %d at byte %d: length %d of %d bytes left", rest[0], len(table)-len(rest), size, len(rest))
		}
		s := structure{kind: rest[0], handle: binary.LittleEndian.Uint16(rest[2:]), area: rest[:size]}
		end := bytes.Index(rest[size:], []byte{0, 0}) // two zeros end the strings, and stand alone without any
		if end < 0 {
			return all, fmt.Errorf("SMBIOS table, strings of the structure of type %d at byte %d: %w", s.kind, len(table)-len(rest), errCut)
		}
		if end > 0 {
			for _, text := range bytes.Split(rest[size:size+end], []byte{0}) {
				s.strings = append(s.strings, string(text))
			}
		}
		if s.kind == smbiosEnd {
			return all, nil
		}
		all = append(all, s)
		rest = rest[size+end+2:]
	}
	return all, nil
}

// u8, u16, u32 and u64 read a field of the formatted area; ok is false when
// the structure is of an older version and does not reach so far.
func (s structure) u8(at int) (v byte, ok bool) {
	if at >= len(s.area) {
		return 0, false
	}
	return s.area[at], true
}

func (s structure) u16(at int) (v uint16, ok bool) {
	if at+2 > len(s.area) {
		return 0, false
	}
	return binary.LittleEndian.Uint16(s.area[at:]), true
}

func (s structure) u32(at int) (v uint32, ok bool) {
	if at+4 > len(s.area) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(s.area[at:]), true
}

// text returns the string whose number, counted from 1, is in the field.
func (s structure) text(at int) string {
	n, ok := s.u8(at)
	if !ok || n == 0 || int(n) > len(s.strings) {
		return ""
	}
	return s.strings[n-1]
}

// smbiosVersion is the version of the table, as major<<8 | minor.
type smbiosVersion uint16

// parseEntryPoint reads the version from an entry point: "_SM_" holds it at
// bytes 6 and 7, "_SM3_" at 7 and 8 (DSP0134, sections 5.2.1 and 5.2.2).
func parseEntryPoint(raw []byte) (smbiosVersion, error) {
	switch {
	case len(raw) >= 9 && bytes.HasPrefix(raw, []byte("_SM3_")):
		return smbiosVersion(raw[7])<<8 | smbiosVersion(raw[8]), nil
	case len(raw) >= 8 && bytes.HasPrefix(raw, []byte("_SM_")):
		return smbiosVersion(raw[6])<<8 | smbiosVersion(raw[7]), nil
	}
	return 0, errors.New("SMBIOS entry point: no anchor _SM_ or _SM3_")
}

// parseRawSMBIOS reads what Windows' GetSystemFirmwareTable('RSMB') returns:
// a header of 8 bytes with the version and the table's length, and the table
// (https://learn.microsoft.com/windows/win32/api/sysinfoapi/nf-sysinfoapi-getsystemfirmwaretable).
func parseRawSMBIOS(raw []byte) (table []byte, version smbiosVersion, err error) {
	if len(raw) < 8 {
		return nil, 0, fmt.Errorf("raw SMBIOS data: %w", errCut)
	}
	size := binary.LittleEndian.Uint32(raw[4:])
	if uint64(size) > uint64(len(raw)-8) {
		return nil, 0, fmt.Errorf("raw SMBIOS data: says %d bytes, has %d", size, len(raw)-8)
	}
	return raw[8 : 8+size], smbiosVersion(raw[1])<<8 | smbiosVersion(raw[2]), nil
}
