package incoming

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"signpost/internal/message"
	"signpost/internal/reports/store"
)

// lookups are the questions to DNS that name a host.
type lookups interface {
	LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error)
	LookupA(ctx context.Context, name string) ([]netip.Addr, error)
	LookupAAAA(ctx context.Context, name string) ([]netip.Addr, error)
}

const (
	// nameAge is how long a name counts before it is looked up again.
	nameAge = 30 * 24 * time.Hour
	// newReport is how long the addresses of a report are looked up after it came.
	newReport = 48 * time.Hour
	// maxHosts is how many addresses are looked up at a time, and hostTime for how long.
	maxHosts = 500
	hostTime = 30 * time.Second
	// askers is how many addresses are looked up at once, and maxNames how many names of one.
	askers   = 8
	maxNames = 5
)

// NameHosts looks up the names of addresses in new reports that have none in the store, those with the
// most messages first: at most maxHosts, in hostTime. A name counts if it leads back to the address
// (RFC 8601 §3). Where DNS does not answer, nothing is stored.
func NameHosts(ctx context.Context, db *store.DB, dns lookups, now time.Time) error {
	addresses, err := unnamed(ctx, db, now)
	if err != nil || len(addresses) == 0 {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, hostTime)
	defer cancel()
	names := map[string]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	queue := make(chan string)
	for range askers {
		all.Go(func() {
			for address := range queue {
				if name, ok := confirmedName(asking, dns, address); ok {
					mu.Lock()
					names[address] = name
					mu.Unlock()
				}
			}
		})
	}
	for _, a := range addresses {
		queue <- a
	}
	close(queue)
	all.Wait()
	return keepNames(ctx, db, names, now)
}

func unnamed(ctx context.Context, db *store.DB, now time.Time) ([]string, error) {
	rows, err := db.Query(ctx, `SELECT m.source FROM incoming_reports r JOIN incoming_records m ON m.report = r.id LEFT JOIN incoming_hosts h ON h.address = m.source
		WHERE r.received >= ? AND (h.looked_up IS NULL OR h.looked_up < ?) GROUP BY m.source ORDER BY sum(m.count) DESC LIMIT ?`,
		now.Add(-newReport).Unix(), now.Add(-nameAge).Unix(), maxHosts)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var a string
		if err := rows.Scan(&a); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

func keepNames(ctx context.Context, db *store.DB, names map[string]string, now time.Time) error {
	if len(names) == 0 {
		return ctx.Err()
	}
	return db.Write(ctx, func(tx store.Tx) error {
		for address, name := range names {
			if _, err := tx.Exec(ctx, `INSERT INTO incoming_hosts (address, name, looked_up) VALUES (?, ?, ?)
				ON CONFLICT (address) DO UPDATE SET name = excluded.name, looked_up = excluded.looked_up`, address, name, now.Unix()); err != nil {
				return err
			}
		}
		return nil
	})
}

// confirmedName returns the first name of the address that leads back to it, "" if there is none; ok is false
// if DNS did not answer.
func confirmedName(ctx context.Context, dns lookups, address string) (name string, ok bool) {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return "", true
	}
	lookup := dns.LookupA
	if addr.Is6() {
		lookup = dns.LookupAAAA
	}
	names, err := dns.LookupPTR(ctx, addr)
	if err != nil {
		return "", false
	}
	ok = true
	for _, n := range names[:min(len(names), maxNames)] {
		host, valid := message.DomainToASCII(strings.TrimSuffix(n, "."))
		if !valid {
			continue
		}
		addrs, err := lookup(ctx, host)
		if slices.Contains(addrs, addr) {
			return host, true
		}
		ok = ok && err == nil
	}
	return "", ok
}
