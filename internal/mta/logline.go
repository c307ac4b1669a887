package mta

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// A LogLine is one entry of a log, whatever its form in the file.
type LogLine struct {
	Time    time.Time
	Program string // such as "postfix/smtp", "sm-mta", "signpost"
	Message string
}

// ParseLogLine reads the traditional form of syslog (RFC 3164), the one with a time stamp of RFC 3339, that of RFC
// 5424, the journal's JSON (journalctl -o json), and Signpost's own. The traditional form has no year: now
// tells which, and its time is local.
func ParseLogLine(line string, now time.Time) (LogLine, bool) {
	line = strings.TrimRight(line, "\r\n")
	switch {
	case line == "":
		return LogLine{}, false
	case line[0] == '{':
		return journalLine(line)
	case strings.HasPrefix(line, "time="):
		return ownLine(line)
	case line[0] == '<':
		_, rest, ok := strings.Cut(line, ">")
		if after, modern := strings.CutPrefix(rest, "1 "); ok && modern {
			return modernLine(after)
		}
		line = rest
	}
	at, rest, ok := lineTime(line, now)
	if !ok {
		return LogLine{}, false
	}
	_, rest, ok = strings.Cut(rest, " ") // the host
	program, message, ok2 := strings.Cut(rest, ": ")
	if !ok || !ok2 || strings.ContainsAny(program, " \t") {
		return LogLine{}, false
	}
	program, _, _ = strings.Cut(program, "[")
	return LogLine{at, program, message}, true
}

// lineTime reads the time stamp that a line begins with.
func lineTime(line string, now time.Time) (at time.Time, rest string, ok bool) {
	if stamp, rest, ok := strings.Cut(line, " "); ok {
		if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
			return at, rest, true
		}
	}
	if len(line) < len(time.Stamp)+1 {
		return time.Time{}, "", false
	}
	at, err := time.ParseInLocation(time.Stamp, line[:len(time.Stamp)], now.Location())
	if err != nil {
		return time.Time{}, "", false
	}
	at = at.AddDate(now.Year(), 0, 0)
	if at.After(now.Add(24 * time.Hour)) {
		at = at.AddDate(-1, 0, 0)
	}
	return at, line[len(time.Stamp)+1:], true
}

// modernLine reads "TIME HOST APP PROCID MSGID SD MSG" of RFC 5424. Structured data is skipped where it has no
// blank in it.
func modernLine(rest string) (LogLine, bool) {
	words := strings.SplitN(rest, " ", 7)
	if len(words) < 7 {
		return LogLine{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, words[0])
	return LogLine{at, words[2], strings.TrimPrefix(words[6], "\ufeff")}, err == nil
}

// journalLine reads an entry of the journal. A message that is not UTF-8 is a list of octets there.
func journalLine(line string) (LogLine, bool) {
	var entry struct {
		Stamp   string          `json:"__REALTIME_TIMESTAMP"`
		Program string          `json:"SYSLOG_IDENTIFIER"`
		Message json.RawMessage `json:"MESSAGE"`
		Own     string          `json:"msg"`
		Time    time.Time       `json:"time"`
	}
	if json.Unmarshal([]byte(line), &entry) != nil {
		return LogLine{}, false
	}
	if entry.Own != "" && entry.Message == nil {
		return LogLine{entry.Time, ownProgram, line}, true
	}
	micro, err := strconv.ParseInt(entry.Stamp, 10, 64)
	if err != nil {
		return LogLine{}, false
	}
	l := LogLine{Time: time.UnixMicro(micro), Program: entry.Program}
	if json.Unmarshal(entry.Message, &l.Message) == nil {
		return l, true
	}
	var octets []int
	if json.Unmarshal(entry.Message, &octets) != nil {
		return LogLine{}, false
	}
	text := make([]byte, len(octets))
	for i, o := range octets {
		text[i] = byte(o)
	}
	l.Message = string(text)
	return l, true
}

// ownProgram is the name of our daemon in logs.
const ownProgram = "signpost"

func ownLine(line string) (LogLine, bool) {
	stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	return LogLine{at, ownProgram, line}, err == nil
}
