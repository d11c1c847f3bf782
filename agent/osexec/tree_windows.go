package osexec

import (
	"errors"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

const rootDir = `C:\`

// member is not used on Windows: the job object knows its processes.
type member struct{}

// tree is a process in a job object; its children are born into the job.
type tree struct {
	cmd *exec.Cmd
	job windows.Handle // 0 when the system refused one; then only the process itself is killed
}

// prepareTree keeps the child from sharing our console's signals.
func prepareTree(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW,
		HideWindow:    true,
	}
}

// adoptTree puts a started process into a new job. With dies the job ends when
// the agent does, which suits commands that only read; an installation that
// must not be interrupted outlives a crash of the agent. A child started
// before the assignment, in the first microseconds, would escape; programs
// load their libraries first.
func adoptTree(cmd *exec.Cmd, dies bool) *tree {
	t := &tree{cmd: cmd}
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return t
	}
	if dies {
		var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
		info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
		if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
			uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info))); err != nil {
			windows.CloseHandle(job)
			return t
		}
	}
	p, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(cmd.Process.Pid))
	if err != nil {
		windows.CloseHandle(job)
		return t
	}
	defer windows.CloseHandle(p)
	if err := windows.AssignProcessToJobObject(job, p); err != nil {
		windows.CloseHandle(job)
		return t
	}
	t.job = job
	return t
}

// terminate ends the job at once: there is no polite way without a console.
func (t *tree) terminate() []member {
	t.kill(nil)
	return nil
}

func (t *tree) kill([]member) {
	if t.job != 0 {
		_ = windows.TerminateJobObject(t.job, 1)
		return
	}
	_ = t.cmd.Process.Kill() // gone already is what was wanted
}

func (t *tree) close() {
	if t.job != 0 {
		windows.CloseHandle(t.job)
		t.job = 0
	}
}

// openStatus refuses: Windows processes have no numbered descriptors.
func openStatus(*exec.Cmd, *capture) (*statusReader, error) {
	return nil, errors.New("a status descriptor does not exist on Windows")
}
