package source

import "strings"

// Longest name and version that are accepted, in bytes. The longest in Debian
// are below 100.
const maxNameBytes = 256

// CheckDebian refuses a request whose package or version is not exactly that.
// Names follow Debian policy 5.6.7 (two or more of a-z 0-9 + - ., the first a
// letter or digit), with an architecture after a colon where dpkg prints one;
// versions follow 5.6.12 and must begin with a digit. So nothing that passes
// begins with "-", is an option, a path, a pattern, or names a release or a
// task; and because the version is always given, a name that ends in "-" or
// "+" is not taken for a removal.
func CheckDebian(r Request) error {
	if !validDebianPackage(r.Package) {
		return fail(CodeInvalidRequest, "apt: %q is not a Debian package name", clip(r.Package))
	}
	if !validDebianVersion(r.Version) {
		return fail(CodeInvalidRequest, "apt: %q is not a Debian version (of package %s)", clip(r.Version), r.Package)
	}
	return nil
}

func validDebianPackage(s string) bool {
	name, arch, qualified := strings.Cut(s, ":")
	if qualified && !validArch(arch) {
		return false
	}
	if len(name) < 2 || len(s) > maxNameBytes || !isLower(name[0]) && !isDigit(name[0]) {
		return false
	}
	return only(name, func(c byte) bool { return isLower(c) || isDigit(c) || c == '+' || c == '-' || c == '.' })
}

func validArch(s string) bool {
	return s != "" && s[0] != '-' && only(s, func(c byte) bool { return isLower(c) || isDigit(c) || c == '-' })
}

func validDebianVersion(s string) bool {
	if len(s) > maxNameBytes {
		return false
	}
	if epoch, rest, ok := strings.Cut(s, ":"); ok {
		if epoch == "" || !only(epoch, isDigit) {
			return false
		}
		s = rest
	}
	if s == "" || !isDigit(s[0]) || strings.HasSuffix(s, "-") {
		return false
	}
	return only(s, func(c byte) bool {
		return isLetter(c) || isDigit(c) || c == '.' || c == '+' || c == '-' || c == '~' || c == ':'
	})
}

func only(s string, ok func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}
