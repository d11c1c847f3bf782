package agent

import (
	"os"
	"path/filepath"
	"runtime"
)

// DefaultData is where the agent of a system keeps its data when nobody says
// otherwise.
func DefaultData() string {
	switch runtime.GOOS {
	case "windows":
		base := os.Getenv("ProgramData")
		if base == "" {
			base = `C:\ProgramData`
		}
		return filepath.Join(base, "Steward", "agent")
	case "darwin":
		return "/Library/Application Support/Steward/agent"
	}
	return "/var/lib/steward-agent"
}
