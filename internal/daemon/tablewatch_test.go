package daemon

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"signpost/internal/tablesource"
	"signpost/signer"
)

func TestAChangeInADatabaseIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "domains.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE d (domain text, selectors text)")
	c := signer.Defaults()
	c.Tables = []signer.Table{{Database: "sqlite:" + path, Query: "SELECT * FROM d"}}
	_, tables, err := tablesource.Read(t.Context(), c, tablesource.Tables{}, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := watchTables(tables, time.Millisecond)
	defer w.stop()
	exec("INSERT INTO d VALUES ('example.com', 's1')")
	<-w.changed
	none := watchTables(tablesource.Tables{}, time.Millisecond)
	none.stop()
	if len(none.changed) != 0 {
		t.Error("a change without a database")
	}
}
