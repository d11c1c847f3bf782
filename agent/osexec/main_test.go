package osexec

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperEnv turns this test binary into a small program that misbehaves in
// the way its value names, so that the tests need no shell.
const helperEnv = "OSEXEC_HELPER"

// helperLife ends a helper that a failing test did not: it may hold descriptors
// of whoever started the tests.
const helperLife = 30 * time.Second

func TestMain(m *testing.M) {
	if mode := os.Getenv(helperEnv); mode != "" {
		os.Exit(misbehave(mode, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func misbehave(mode string, args []string) int {
	switch mode {
	case "args":
		fmt.Println(strings.Join(args, "|"))
		fmt.Println(strings.Join(os.Environ(), "\n"))
		wd, _ := os.Getwd()
		fmt.Fprintln(os.Stderr, wd)
	case "exit":
		n, _ := strconv.Atoi(args[0])
		return n
	case "lines":
		fmt.Print("one\ntwo\r50%\r100%\r\n\nlast")
		fmt.Fprint(os.Stderr, "warning\n")
	case "flood":
		line := bytes.Repeat([]byte("x"), 1023)
		line = append(line, '\n')
		fmt.Println("first line")
		for range 2048 {
			os.Stdout.Write(line)
		}
		fmt.Println("last line")
	case "status":
		f := os.NewFile(3, "status")
		for i := range 3 {
			fmt.Fprintf(f, "status %d\n", i)
		}
		fmt.Println("done")
	case "hang":
		fmt.Println("ready")
		<-time.After(helperLife)
	case "stubborn": // ignores the polite kill
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
		fmt.Println("ready")
		<-time.After(helperLife)
	case "family": // starts a stubborn child in its group and one outside, and hangs
		for _, own := range []bool{false, true} {
			c := child("stubborn")
			setSession(c, own)
			c.Stdout = os.Stdout
			if err := c.Start(); err != nil {
				return 9
			}
			fmt.Println("child", c.Process.Pid)
		}
		fmt.Println("ready")
		<-time.After(helperLife)
	case "orphan": // ends at once, but its child holds the pipes
		c := child("hang")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Start(); err != nil {
			return 9
		}
		fmt.Println("child", c.Process.Pid)
		return 0
	}
	return 0
}

func child(mode string) *exec.Cmd {
	exe, _ := os.Executable()
	c := exec.Command(exe)
	c.Env = append(os.Environ(), helperEnv+"="+mode)
	return c
}

// helper is a command that runs this test binary in the mode.
func helper(t *testing.T, mode string, args ...string) Command {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Command{Path: exe, Args: args, Env: []string{helperEnv + "=" + mode}, Timeout: 20 * time.Second}
}
