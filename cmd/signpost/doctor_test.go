package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// doctorHost is a host that only judges, without an MTA, in a folder of its own. No daemon runs.
func doctorHost(t *testing.T, more string) (args []string, dir string) {
	t.Helper()
	dir = t.TempDir()
	config := `milter: {listen: ["unix:` + dir + `/milter.sock"]}
control: {listen: "unix:` + dir + `/control.sock"}
keys: {dir: "` + dir + `/keys", state: "` + dir + `/state.json"}
verifier: {authserv_id: mx.example.com}
` + more
	for name, text := range map[string]string{"signpost.yaml": config, "zone": "example.com. TXT \"v=spf1 -all\"\n", "log": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"doctor", "--config", dir + "/signpost.yaml", "--zone", dir + "/zone", "--sendmail", dir, "--mta-log", dir + "/log"}, dir
}

func TestDoctorReportsInEachForm(t *testing.T) {
	args, dir := doctorHost(t, "")
	code, out, errs := doctorRun(t, args...)
	if code != exitFailure || !strings.Contains(out, "CRITICAL daemon.down: "+dir) || errs != "" {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	code, out, _ = doctorRun(t, append(args, "--json")...)
	var report struct {
		Findings []struct{ ID, Severity, Subject, Finding, Consequence, Remedy, Reference string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitFailure || len(report.Findings) != 1 {
		t.Fatalf("exit %d, %v\n%s", code, err, out)
	}
	if f := report.Findings[0]; f.ID != "daemon.down" || f.Severity != "critical" || !strings.HasPrefix(f.Remedy, "Start it:\nsignpost serve --config "+dir) {
		t.Errorf("%+v", f)
	}
	code, out, _ = doctorRun(t, append(args, "--fix")...)
	if code != exitFailure || !strings.HasPrefix(out, "#!/bin/sh\n") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestDoctorSaysWhyItCannotLook(t *testing.T) {
	args, dir := doctorHost(t, "lgo: {}\n")
	code, out, errs := doctorRun(t, args...)
	if code != exitUsage || out != "" || !strings.Contains(errs, "did you mean log?") || !strings.Contains(errs, "signpost check-config") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	code, out, errs = doctorRun(t, append(args, "--json")...)
	var problem struct{ Error, Remedy string }
	if err := json.Unmarshal([]byte(out), &problem); err != nil || code != exitUsage || problem.Error == "" || problem.Remedy == "" || errs != "" {
		t.Errorf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	for option, want := range map[string]string{
		"--config=" + dir + "/nowhere": "nowhere", "--zone=" + dir + "/nowhere": "nowhere",
	} {
		args, _ := doctorHost(t, "")
		if code, _, errs := doctorRun(t, append(args, option)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, %s", option, code, errs)
		}
	}
	args, dir = doctorHost(t, "")
	if code, out, _ := doctorRun(t, append(args, "--mta-log", dir+"/nowhere", "--json")...); code != exitFailure || !strings.Contains(out, `"not_seen": [`) || !strings.Contains(out, "nowhere") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestDoctorRefusesWrongOptions(t *testing.T) {
	for _, args := range [][]string{
		{"doctor", "now"}, {"doctor", "--json", "--fix"}, {"doctor", "--key-age", "-1"}, {"doctor", "--address", "here"}, {"doctor", "--timeout", "0s"}, {"doctor", "--nothing"},
	} {
		if code, out, errs := doctorRun(t, args...); code != exitUsage || (out == "") == (errs == "") {
			t.Errorf("%v: exit %d, %s%s", args, code, out, errs)
		}
	}
}

func doctorRun(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	r := execute(t, "", args...)
	return r.code, r.stdout, r.stderr
}
