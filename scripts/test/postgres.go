//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"time"
)

// serverPrograms is where Debian keeps a version's initdb and pg_ctl.
const serverPrograms = "/usr/lib/postgresql/*/bin"

// cluster is a private PostgreSQL server on a loopback port, its data in a
// temporary folder. PostgreSQL refuses to run as root, so root runs it as the
// package's user.
type cluster struct {
	dir     string
	bin     string
	as      *user.User // nil: ourselves
	address *url.URL
}

// settings give up safety after a crash of the machine for speed.
const settings = `
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
max_connections = 200
fsync = off
synchronous_commit = off
full_page_writes = off
`

// postgres starts the run's cluster and returns the variable that tells tests
// of it: a superuser's address, so that they can make databases of their own.
func (s *suite) postgres(ctx context.Context) (string, error) {
	if s.cluster == nil {
		c, err := startCluster(ctx)
		if err != nil {
			return "", fmt.Errorf("start PostgreSQL: %w", err)
		}
		s.cluster = c
	}
	return "STEWARD_TEST_POSTGRES=" + s.cluster.address.String(), nil
}

func startCluster(ctx context.Context) (_ *cluster, err error) {
	versions, err := filepath.Glob(serverPrograms)
	if err != nil || len(versions) == 0 {
		return nil, errors.New("no " + serverPrograms + "; the leg setup installs it")
	}
	dir, err := os.MkdirTemp("", "steward-postgres-")
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, bin: versions[len(versions)-1]}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	password, secret := rand.Text(), filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := c.giveAway("postgres", dir, secret); err != nil {
			return nil, err
		}
	}
	// A collation that sorts unlike bytes: a query that forgot COLLATE "C" shows.
	if err := c.program(ctx, "initdb", "-D", c.data(), "-U", "steward", "--pwfile", secret, "--auth", "scram-sha-256",
		"-E", "UTF8", "--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US", "--no-sync"); err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	if err := appendTo(filepath.Join(c.data(), "postgresql.conf"), fmt.Sprintf(settings, port, dir)); err != nil {
		return nil, err
	}
	if err := c.program(ctx, "pg_ctl", "-D", c.data(), "-l", filepath.Join(dir, "log"), "-w", "-t", "60", "start"); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	c.address = &url.URL{
		Scheme: "postgres", User: url.UserPassword("steward", password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/postgres", RawQuery: "sslmode=disable",
	}
	return c, nil
}

// stop ends the server at once, also when the run was interrupted: nothing in
// it is worth keeping.
func (c *cluster) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := c.program(ctx, "pg_ctl", "-D", c.data(), "-m", "immediate", "-w", "stop")
	return errors.Join(err, os.RemoveAll(c.dir))
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

// program runs one of PostgreSQL's own programs as the cluster's user.
func (c *cluster) program(ctx context.Context, name string, args ...string) error {
	argv := append([]string{filepath.Join(c.bin, name)}, args...)
	if c.as != nil {
		argv = append([]string{"runuser", "-u", c.as.Username, "--"}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = c.dir
	// To a file: the server that pg_ctl leaves behind would keep a pipe open.
	log, err := os.Create(filepath.Join(c.dir, name+".out"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%s: %w\n%s", name, err, said)
	}
	return nil
}

// giveAway makes the named user the owner of the paths and of the cluster.
func (c *cluster) giveAway(name string, paths ...string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if err := os.Chown(p, uid, -1); err != nil {
			return err
		}
	}
	c.as = u
	return nil
}

func appendTo(path, text string) (err error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(text)
	return err
}

// freePort asks the system for a port that nobody listens on now.
func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}
