package aggregate

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The reader reads what the writer writes, and finds what was written.
func TestTheWritersReportIsTheReadersInput(t *testing.T) {
	files, err := filepath.Glob("testdata/oddities/[0-9]*.xml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		report, records, err := readAll(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		first := written(t, *report, records...)
		again, records, err := readAll(strings.NewReader(first))
		if err != nil || again.Metadata.OrgName != report.Metadata.OrgName || !reflect.DeepEqual(again.Metadata.End, report.Metadata.End) {
			t.Fatalf("%s: %+v, %v", f, again, err)
		}
		if second := written(t, *again, records...); first != second {
			t.Errorf("%s: written\n%s\nread and written again\n%s", f, first, second)
		}
	}
}
