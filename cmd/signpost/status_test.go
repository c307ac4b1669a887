package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"signpost/internal/status"
)

// docs/status.md describes every key of the JSON.
func TestTheDocumentNamesEveryKeyOfTheStatus(t *testing.T) {
	text, err := os.ReadFile("../../docs/status.md")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range typ.NumField() {
			key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if key == "" || !strings.Contains(string(text), "`"+key+"`") {
				t.Errorf("%s.%s: the document does not name `%s`", typ, typ.Field(i).Name, key)
			}
			walk(typ.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[status.Report]())
}

func TestStatusWithoutADaemonSaysWhatToDo(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	config := writeFile(t, "s.yaml", "control: {listen: \"unix:"+socket+"\"}\n")
	off := writeFile(t, "off.yaml", "control: {listen: \"\"}\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"status", "--config", config}, "systemctl status signpost"},
		{[]string{"status", "--config", config, "--ready"}, "systemctl status signpost"},
		{[]string{"status", "--config", off}, "write control: {listen:"},
		{[]string{"status", "--config", config + ".none"}, "--config FILE"},
	} {
		r := execute(t, "", c.args...)
		if r.code != exitFailure || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
			t.Errorf("%v: %d %q %q", c.args, r.code, r.stdout, r.stderr)
		}
		r = execute(t, "", append(c.args, "--json")...)
		var e struct{ Error, Remedy string }
		if err := json.Unmarshal([]byte(r.stdout), &e); err != nil || r.code != exitFailure || e.Error == "" || !strings.Contains(e.Error+e.Remedy, c.want) || r.stderr != "" {
			t.Errorf("%v --json: %d %q %q %v", c.args, r.code, r.stdout, r.stderr, err)
		}
	}
	if r := execute(t, "", "status", "surplus"); r.code != exitUsage || !strings.Contains(r.stderr, "signpost status --help") {
		t.Errorf("%d %q", r.code, r.stderr)
	}
	if r := execute(t, "", "status", "surplus", "--json"); r.code != exitUsage || !strings.Contains(r.stdout, `"remedy": "signpost status --help`) {
		t.Errorf("%d %q", r.code, r.stdout)
	}
}
