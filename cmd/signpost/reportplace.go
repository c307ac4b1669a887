package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/reports/store"
)

// reportPlace has the options that the report commands share.
type reportPlace struct {
	name   string // of the command
	config *string
	json   *bool
	stdout io.Writer
	stderr io.Writer
}

func newReportPlace(name string, f *flag.FlagSet, stdout, stderr io.Writer) reportPlace {
	return reportPlace{
		name: name, stdout: stdout, stderr: stderr,
		config: f.String("config", "", configHelp),
		json:   f.Bool("json", false, "print one JSON object"),
	}
}

// open reads the configuration, without the keys, and opens its database. It changes neither.
func (p reportPlace) open(ctx context.Context) (daemon.Config, *store.DB, error) {
	c, _, err := daemon.Read(*p.config)
	if err != nil {
		return c, nil, err
	}
	if c.Reports.Database == "" {
		return c, nil, &control.Error{Problem: `reports.database is "": nothing is kept`, Remedy: "take the key out, reload the daemon, and ask again after some days"}
	}
	db, err := store.OpenExisting(ctx, c.Reports.Database)
	if errors.Is(err, store.ErrNone) {
		err = &control.Error{Problem: err.Error(), Remedy: "the daemon makes it; start it with this configuration, and look at its log"}
	}
	return c, db, withRemedy(c.Reports.Database, err)
}

// withRemedy adds to an error of the database what to do, unless it says so itself.
func withRemedy(a store.Address, err error) error {
	var known *control.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, store.ErrOlder) || errors.Is(err, store.ErrNewer) {
		return err
	}
	remedy := store.Remedy(a, err)
	// SQLite writes beside a database that it only reads.
	if path := a.Path(); path != "" && errors.Is(unix.Access(path, unix.R_OK|unix.W_OK), fs.ErrPermission) {
		remedy = "run this as root, or as the daemon's user"
	}
	return &control.Error{Problem: err.Error(), Remedy: remedy}
}

// fail says why the command could not do its work.
func (p reportPlace) fail(err error) int { return failure(p.stderr, p.name, err) }

// usage reports a mistake in the command line.
func (p reportPlace) usage(problem string) int { return wrongUsage(p.stderr, p.name, problem) }

// sinceFlag is the option --since: the UTC day on which a report begins.
type sinceFlag struct {
	text string
	day  int64 // days since 1970
}

func newSince(f *flag.FlagSet, usual string) *sinceFlag {
	s := &sinceFlag{}
	if err := s.Set(usual); err != nil {
		panic(err)
	}
	f.Var(s, "since", "begin at this `DAY`: 14d is fourteen days back, 2026-11-21 a date, in UTC")
	return s
}

const day = 24 * time.Hour

// clock decides which day it is for a command, and which month.
var clock = time.Now

// today is the UTC day, counted from 1970.
func today() int64 { return clock().Unix() / int64(day/time.Second) }

// Set reads a number of days, today being the last of them, or a date.
func (s *sinceFlag) Set(text string) error {
	if n, err := strconv.ParseUint(strings.TrimSuffix(text, "d"), 10, 16); err == nil && strings.HasSuffix(text, "d") && n > 0 {
		s.text, s.day = text, today()-int64(n)+1
		return nil
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return errors.New("write a number of days such as 14d, or a day such as 2026-11-21")
	}
	s.text, s.day = text, at.Unix()/int64(day/time.Second)
	return nil
}

func (s *sinceFlag) String() string { return s.text }
