package traffic

import (
	"context"
	"time"

	"signpost/internal/config"
	"signpost/internal/reports/store"
)

const (
	pruneEvery = time.Hour
	pruneTime  = 30 * time.Second
	// rowSize is about how many octets a row has on disk, with its part of the indexes.
	rowSize = 400
)

// prune deletes the days before those that are kept, and then the oldest ones until the rest is small
// enough. It returns the days that went for their size. Several daemons may do so at once.
func prune(ctx context.Context, db *store.DB, today Day, keep config.Days, size config.Size) (gone []Day, err error) {
	first := today - Day(keep) + 1
	for _, statement := range []string{
		`DELETE FROM traffic WHERE day < ?`, `DELETE FROM traffic_outbound WHERE day < ?`, `DELETE FROM traffic_policies WHERE seen < ?`,
	} {
		if err := remove(ctx, db, int64(first), statement); err != nil {
			return nil, err
		}
	}
	if err := remove(ctx, db, first.Time().Unix(), `DELETE FROM traffic_writers WHERE seen < ?`); err != nil {
		return nil, err
	}
	days, total, err := countDays(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, d := range days {
		if total <= int64(size)/rowSize || d.day >= today {
			break
		}
		if err := deleteDay(ctx, db, d.day); err != nil {
			return gone, err
		}
		total -= d.rows
		gone = append(gone, d.day)
	}
	return gone, db.Shrink(ctx)
}

type dayCount struct {
	day  Day
	rows int64
}

// countDays returns the number of rows of each day, the oldest first, and of all.
func countDays(ctx context.Context, db *store.DB) (days []dayCount, total int64, err error) {
	rows, err := db.Query(ctx, `SELECT day, sum(n) FROM (SELECT day, count(*) AS n FROM traffic GROUP BY day
		UNION ALL SELECT day, count(*) AS n FROM traffic_outbound GROUP BY day) AS both_tables GROUP BY day ORDER BY day`)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var d dayCount
		if err := rows.Scan(&d.day, &d.rows); err != nil {
			return nil, 0, err
		}
		days = append(days, d)
		total += d.rows
	}
	return days, total, rows.Err()
}

func deleteDay(ctx context.Context, db *store.DB, day Day) error {
	return remove(ctx, db, int64(day), `DELETE FROM traffic WHERE day = ?`, `DELETE FROM traffic_outbound WHERE day = ?`)
}

// remove deletes rows in one transaction. A DELETE locks rows in any order, so that another daemon's may be in the way.
func remove(ctx context.Context, db *store.DB, before int64, statements ...string) error {
	return db.WriteAgain(ctx, func(tx store.Tx) error {
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement, before); err != nil {
				return err
			}
		}
		return nil
	})
}
