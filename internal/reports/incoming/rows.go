package incoming

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"strings"

	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/store"
)

// batch is how many records one statement stores: their arguments are within the limit of
// both databases.
const batch = 100

// recordColumns of incoming_records.
const recordColumns = 12

// recordRows stores records as they come.
type recordRows struct {
	ctx    context.Context
	tx     store.Tx
	report int64
	args   []any
}

func (w *recordRows) add(r *aggregate.Record) error {
	w.args = append(w.args, w.report, r.SourceIP.String(), r.Count, r.Disposition, flag(r.DKIM), flag(r.SPF))
	for _, text := range recordTexts(r) {
		w.args = append(w.args, text)
	}
	if len(w.args) == batch*recordColumns {
		return w.flush()
	}
	return nil
}

func (w *recordRows) flush() error {
	n := len(w.args) / recordColumns
	if n == 0 {
		return nil
	}
	values := strings.TrimSuffix(strings.Repeat("("+store.Arguments(recordColumns)+"), ", n), ", ")
	_, err := w.tx.Exec(w.ctx, `INSERT INTO incoming_records (report, source, count, disposition, dkim, spf, reasons,
		header_from, envelope_from, envelope_to, signatures, senders) VALUES `+values, w.args...)
	w.args = w.args[:0]
	return err
}

// recordTexts are the texts of a record as they are stored, in the order of the columns.
func recordTexts(r *aggregate.Record) [6]string {
	return [...]string{listText(r.Reasons), r.HeaderFrom, r.EnvelopeFrom, r.EnvelopeTo, listText(r.Signatures), listText(r.Senders)}
}

// usualText is more text than most records have, in octets.
const usualText = 1 << 10

// weight is how many records a record with these texts counts as, where the size of what is stored is limited. The
// reporter chooses the length of its texts.
func weight(texts ...string) int64 {
	size := 0
	for _, t := range texts {
		size += len(t)
	}
	return 1 + int64(size/usualText)
}

// flag is 1 for an aligned result.
func flag(result string) int {
	if result == "pass" {
		return 1
	}
	return 0
}

// listText is a list in JSON, "" for an empty one.
func listText[T any](list []T) string {
	if len(list) == 0 {
		return ""
	}
	text, err := json.Marshal(list)
	if err != nil { // there is nothing in a list that could not be written
		return ""
	}
	return string(text)
}

// A rawCopy is the document as it was read, in gzip, if it is not too big.
type rawCopy struct {
	octets bytes.Buffer
	z      *gzip.Writer
	full   bool
}

func (c *rawCopy) writer() io.Writer {
	c.z, _ = gzip.NewWriterLevel(&limitedBuffer{c}, gzip.BestSpeed)
	return ignoringErrors{c.z}
}

// bytes returns the copy, or nil.
func (c *rawCopy) bytes() []byte {
	if c.z.Close() != nil || c.full {
		return nil
	}
	return c.octets.Bytes()
}

type limitedBuffer struct{ c *rawCopy }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.c.full = b.c.full || b.c.octets.Len()+len(p) > maxRawReport; b.c.full {
		b.c.octets.Reset()
		return len(p), nil
	}
	return b.c.octets.Write(p)
}

type ignoringErrors struct{ w io.Writer }

func (w ignoringErrors) Write(p []byte) (int, error) {
	_, _ = w.w.Write(p) // into memory
	return len(p), nil
}
