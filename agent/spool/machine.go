package spool

import (
	"slices"
	"time"
)

// versions are those of one package that this agent saw installed, the newest
// sighting last.
type versions struct {
	Versions []string `json:"versions"`
}

// reboot is one that a job caused.
type reboot struct {
	Job Key `json:"job"`
}

const (
	maxVersions = 16 // per package
	keepReboots = 7 * 24 * time.Hour
)

func installedKey(source, pkg string) string { return source + "\x00" + pkg }

// RecordInstalled remembers versions that a scan saw installed. A downgrade may
// go only to one of them; of each package the last 16 are kept.
func (j *Journal) RecordInstalled(seen []Installed) error {
	var fresh []Installed
	err := j.b.view(func(t tx) error {
		fresh = fresh[:0]
		for _, i := range seen {
			v, _, err := read[versions](t, bucketInstalled, installedKey(i.Source, i.Package))
			if err != nil {
				return err
			}
			if n := len(v.Versions); i.Version != "" && (n == 0 || v.Versions[n-1] != i.Version) {
				fresh = append(fresh, i)
			}
		}
		return nil
	})
	if err != nil || len(fresh) == 0 {
		return err
	}
	return j.update("installed", func(c *change) error {
		for _, i := range fresh {
			key := installedKey(i.Source, i.Package)
			v, _, err := read[versions](c, bucketInstalled, key)
			if err != nil {
				return err
			}
			v.Versions = slices.DeleteFunc(v.Versions, func(o string) bool { return o == i.Version })
			v.Versions = append(v.Versions, i.Version)
			v.Versions = v.Versions[max(0, len(v.Versions)-maxVersions):]
			if err := write(c, bucketInstalled, key, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// InstalledBefore returns the versions of a package that this agent saw
// installed, the last seen last.
func (j *Journal) InstalledBefore(source, pkg string) (seen []string, err error) {
	err = j.b.view(func(t tx) error {
		v, _, err := read[versions](t, bucketInstalled, installedKey(source, pkg))
		seen = v.Versions
		return err
	})
	return seen, err
}

// RebootsSince counts the reboots that jobs caused after a time.
func (j *Journal) RebootsSince(since time.Time) (count int, err error) {
	err = j.b.view(func(t tx) error {
		return t.each(bucketReboots, secondKey(since), func(string, []byte) (bool, error) {
			count++
			return true, nil
		})
	})
	return count, err
}

// purgeReboots forgets those that no limit counts any more.
func (c *change) purgeReboots(at time.Time) error {
	var old []string
	limit := secondKey(at.Add(-keepReboots))
	err := c.each(bucketReboots, "", func(key string, _ []byte) (bool, error) {
		if key >= limit {
			return false, nil
		}
		old = append(old, key)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, key := range old {
		if err := c.delete(bucketReboots, key); err != nil {
			return err
		}
	}
	return nil
}
