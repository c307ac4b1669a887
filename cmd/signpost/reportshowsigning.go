package main

import (
	"fmt"

	"signpost/internal/display"
)

// shownSigning is how this host signed mail of the domain in the same time.
type shownSigning struct {
	Messages int64           `json:"messages"`
	Unsigned int64           `json:"unsigned"`
	Reasons  []shownUnsigned `json:"reasons"`
}

type shownUnsigned struct {
	Entry    string `json:"entry"` // of signer.domains; "" if none fits
	Why      string `json:"why"`
	Messages int64  `json:"messages"`
}

// signing reads what this host counted of its own mail; nil if there was none.
func (s *shower) signing(domain string) (*shownSigning, error) {
	rows, err := s.db.Query(s.ctx, `SELECT entry, unsigned, sum(count) FROM traffic_outbound WHERE day >= ? AND day < ? AND (author = ? OR author LIKE ?)
		GROUP BY entry, unsigned ORDER BY sum(count) DESC`, s.begin.Unix()/86400, s.end.Unix()/86400, domain, "%."+domain)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all shownSigning
	for rows.Next() {
		var u shownUnsigned
		if err := rows.Scan(&u.Entry, &u.Why, &u.Messages); err != nil {
			return nil, err
		}
		all.Messages += u.Messages
		if u.Why != "" {
			all.Unsigned += u.Messages
			u.Entry, u.Why = printable(u.Entry), printable(u.Why)
			all.Reasons = append(all.Reasons, u)
		}
	}
	if all.Messages == 0 {
		return nil, rows.Err()
	}
	return &all, rows.Err()
}

func (s *shower) signingText(all *shownSigning) {
	if all == nil {
		return
	}
	fmt.Fprintf(s.stdout, "\nThis host had %s messages of the domain to sign, %s without a signature\n", display.Thousands(all.Messages), display.Thousands(all.Unsigned))
	for i, u := range all.Reasons {
		if i == maxShown {
			break
		}
		entry := ""
		if u.Entry != "" {
			entry = ", entry " + u.Entry
		}
		s.paragraph("  ", fmt.Sprintf("%s%s: %s", display.Thousands(u.Messages), entry, u.Why))
	}
}
