package agent

import (
	"os"

	"golang.org/x/sys/windows"
)

// privileged reports whether the process runs with an administrator's rights.
func privileged() bool { return windows.GetCurrentProcessToken().IsElevated() }

// ownedByRoot reports whether a file belongs to SYSTEM or the administrators.
// Who else may write it is the directory's inherited access list, which the
// installer narrows.
func ownedByRoot(f *os.File) (bool, string) {
	sd, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return false, "its owner is not known: " + err.Error()
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return false, "its owner is not known: " + err.Error()
	}
	if owner.IsWellKnown(windows.WinLocalSystemSid) || owner.IsWellKnown(windows.WinBuiltinAdministratorsSid) {
		return true, ""
	}
	return false, "it belongs to " + owner.String() + "; only a file of SYSTEM or the administrators is honoured"
}
