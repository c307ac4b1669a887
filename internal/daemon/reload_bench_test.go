package daemon

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"signpost/keys"
)

// BenchmarkReload reloads a table of 100,000 entries with shared keys. Each line has changed. The benchmark reports the
// processor time of all threads, including those of the garbage collector.
func BenchmarkReload(b *testing.B) {
	dir := b.TempDir()
	var domains bytes.Buffer
	for i := range 10 {
		owner := fmt.Sprintf("owner%d.example", i)
		if _, err := keys.Generate(filepath.Join(dir, "keys"), owner, "s1", keys.RSA, 2048); err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(&domains, "    - { domain: %s, selectors: [s1] }\n", owner)
	}
	var tables [2][]byte
	for i := range tables {
		var text bytes.Buffer
		for n := range 100_000 {
			fmt.Fprintf(&text, "d%d.example s1 keys_of=owner%d.example%s\n", n, n%10, []string{"", " subdomains"}[i])
		}
		tables[i] = text.Bytes()
	}
	table, file := filepath.Join(dir, "table"), filepath.Join(dir, "signpost.yaml")
	replace := func(n int) {
		if err := os.WriteFile(table, tables[n%2], 0o600); err != nil {
			b.Fatal(err)
		}
	}
	replace(0)
	text := fmt.Sprintf("milter: { listen: [{ address: 'unix:%s/s' }] }\ndns: { servers: ['127.0.0.1:9'] }\nkeys: { dir: '%s/keys', state: '%s/state.json' }\ncontrol: { listen: '' }\nreports: { database: '' }\n"+
		"signer:\n  require_published: false\n  tables: ['%s']\n  domains:\n%s", dir, dir, dir, table, domains.String())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	defer paceCollector()()
	g, err := LoadForStart(file, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(g, file, "", slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	b.Cleanup(func() { _ = s.Shutdown(b.Context()); s.Close() })
	s.processors.start()
	b.Cleanup(s.processors.stop)
	b.ReportAllocs()
	n, before := 0, processorTime()
	var was, is runtime.MemStats
	runtime.ReadMemStats(&was)
	for b.Loop() {
		n++
		replace(n)
		s.reload()
		if s.current == g {
			b.Fatal("refused")
		}
		g = s.current
	}
	runtime.ReadMemStats(&is)
	b.ReportMetric(float64((processorTime()-before).Milliseconds())/float64(n), "cpu-ms/op")
	b.ReportMetric(float64(is.NumGC-was.NumGC)/float64(n), "collections/op")
}
