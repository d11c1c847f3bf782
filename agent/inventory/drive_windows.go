package inventory

import "golang.org/x/sys/windows"

// localDrive reports whether a drive is one of the machine's own disks: fixed,
// or removable with a medium in it; a share or a CD is not.
func localDrive(mountpoint string) bool {
	path, err := windows.UTF16PtrFromString(mountpoint + `\`)
	if err != nil {
		return false
	}
	kind := windows.GetDriveType(path)
	return kind == windows.DRIVE_FIXED || kind == windows.DRIVE_REMOVABLE
}
