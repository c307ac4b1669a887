// Package unpack finds reports in what brings them: mail of any MIME structure, zip and gzip
// files, plain XML and JSON. It goes by the content alone, since reporters label it wrongly.
package unpack

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"signpost/internal/reports/refusal"
)

// Limits of what is read.
const (
	MaxMessage  = 32 << 20  // octets of one message, or of a file that is no plain text
	MaxDocument = 128 << 20 // octets of one report, once decompressed

	maxTotal    = 3 * MaxDocument // octets of all reports of one input; a report is read twice
	maxUnpacked = 4 * MaxDocument // octets of all that is decompressed and decoded for them

	maxParts   = 200      // parts of all messages and files of all archives within one input
	maxEntries = 10_000   // entries of a zip archive; its whole directory is read into memory
	maxDepth   = 8        // containers within each other: a message, an archive, a compressed file
	sniffed    = 20 << 10 // octets at the start that decide: a comment may stand before the root element
)

// Kind is the kind of a report.
type Kind string

const (
	Aggregate Kind = "aggregate" // DMARC, in XML
	TLS       Kind = "tls"       // TLS, in JSON
)

// A Document is what looks like a report.
type Document struct {
	Kind  Kind
	Where string // the way to it: "part 2, gzip"; names of files are foreign text
	open  func() io.Reader
}

// Open returns the decompressed document from its start. Each call opens it anew. Beyond
// MaxDocument and for damaged compression the reader's error is a *refusal.Error.
func (d Document) Open() io.Reader { return d.open() }

// Find calls found for each report in data, and refused for what may contain one and
// cannot be read. data must not change while documents are in use.
func Find(data []byte, found func(Document), refused func(where string, err error)) {
	find(content{open: func() io.Reader { return bytes.NewReader(data) }, all: data}, found, refused)
}

// FindIn is Find in a file, of which only messages and zip archives are read into memory.
func FindIn(file io.ReaderAt, size int64, found func(Document), refused func(where string, err error)) {
	find(content{open: func() io.Reader { return io.NewSectionReader(file, 0, size) }}, found, refused)
}

func find(c content, found func(Document), refused func(where string, err error)) {
	nothing := true
	f := &finder{left: maxTotal, unpacked: maxUnpacked,
		found:   func(d Document) { nothing = false; found(d) },
		refused: func(where string, err error) { nothing = false; refused(where, err) },
	}
	f.look(c, "", 0)
	if nothing {
		f.salvage(c)
	}
}

type finder struct {
	found   func(Document)
	refused func(where string, err error)
	parts   int
	full    bool // too many parts: told once

	left, unpacked int64 // of maxTotal and maxUnpacked
}

// content is a piece of the input, of any kind.
type content struct {
	open func() io.Reader
	all  []byte // nil if it is not in memory
}

// inMemory returns the content in memory; with an error, what came before it.
func (f *finder) inMemory(c content) ([]byte, error) {
	if c.all != nil {
		return c.all, nil
	}
	return io.ReadAll(f.limited(c.open, MaxMessage)())
}

// look handles one piece, which was found at where.
func (f *finder) look(c content, where string, depth int) {
	head, err := peek(c.open())
	kind := sniff(head)
	if kind == isUnknown {
		if err != nil {
			f.refuse(where, err)
		} else if format := unreadFormat(head); format != "" {
			f.refuse(where, refusal.UnreadFormat.With("%s", format))
		}
		return
	}
	if depth > maxDepth {
		f.refuse(where, refusal.TooDeep.With("more than %d containers within each other", maxDepth))
		return
	}
	switch kind {
	case isXML:
		f.found(Document{Aggregate, where, f.limited(c.open, MaxDocument)})
	case isJSON:
		f.found(Document{TLS, where, f.limited(c.open, MaxDocument)})
	case isGzip:
		f.look(content{open: f.layer(gunzip(c.open))}, join(where, "gzip"), depth+1)
	case isBase64:
		f.look(content{open: f.layer(func() io.Reader { return newBase64(c.open()) })}, join(where, "base64"), depth+1)
	default:
		f.lookInto(kind, c, where, depth)
	}
}

// lookInto handles the containers that have to be in memory.
func (f *finder) lookInto(kind contentKind, c content, where string, depth int) {
	all, err := f.inMemory(c)
	_, isRefusal := errors.AsType[*refusal.Error](err)
	switch {
	case isRefusal && refusal.Of(err).Reason == refusal.TooBig, len(all) == 0:
		f.refuse(where, err)
	case kind == isZip:
		f.archive(all, where, depth)
	case IsMbox(all):
		f.mailbox(all, where, depth)
	default:
		all = bytes.TrimPrefix(all, []byte(utf8BOM))
		f.entity(all, where, depth)
	}
}

func (f *finder) refuse(where string, err error) {
	if _, ok := errors.AsType[*refusal.Error](err); !ok {
		err = refusal.Malformed.With("%v", err)
	}
	f.refused(where, err)
}

// another counts a part, and tells whether it may be looked at.
func (f *finder) another(where string) bool {
	if f.parts++; f.parts <= maxParts {
		return true
	}
	if !f.full {
		f.full = true
		f.refuse(where, refusal.TooManyParts.With("more than %d", maxParts))
	}
	return false
}

func join(where, more string) string {
	if where == "" {
		return more
	}
	return where + ", " + more
}

func peek(r io.Reader) ([]byte, error) {
	head := make([]byte, sniffed)
	n, err := io.ReadFull(r, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}

// limited bounds what one piece may have, and all together.
func (f *finder) limited(open func() io.Reader, most int64) func() io.Reader {
	return func() io.Reader { return &limit{r: open(), most: most, left: most, total: &f.left} }
}

// layer bounds what comes out of a compressed or encoded piece: what is within it may turn much into nothing.
func (f *finder) layer(open func() io.Reader) func() io.Reader {
	return func() io.Reader {
		return &limit{r: open(), most: MaxDocument, left: MaxDocument, total: &f.unpacked}
	}
}

type limit struct {
	r          io.Reader
	most, left int64
	total      *int64
}

func (l *limit) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(int64(len(p)), l.left+1)])
	l.left -= int64(n)
	*l.total -= int64(n)
	switch {
	case l.left < 0:
		if l.most == MaxDocument {
			*l.total = 0 // a bomb: what else is in the input is not read
		}
		return 0, refusal.TooBig.With("more than %d octets", l.most)
	case *l.total < 0:
		return 0, refusal.TooBig.With("too much in all: more than %d octets of reports, or %d to decompress for them", int64(maxTotal), int64(maxUnpacked))
	}
	return n, err
}

// damaged makes errors of decompression refusals.
type damaged struct {
	r   io.Reader
	err error
}

func (d *damaged) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		if _, ok := errors.AsType[*refusal.Error](err); !ok && errors.Is(err, io.ErrUnexpectedEOF) {
			err = refusal.Truncated.With("the compressed data")
		} else if !ok {
			err = refusal.Malformed.With("compressed data: %v", err)
		}
	}
	d.err = err
	return n, err
}

// gunzip decompresses. A wrong checksum and what follows the end do not matter to those who
// stop reading at the end of the report.
func gunzip(open func() io.Reader) func() io.Reader {
	return func() io.Reader {
		z, err := gzip.NewReader(skipSpace(open()))
		if _, isRefusal := errors.AsType[*refusal.Error](err); isRefusal {
			return &damaged{err: err}
		} else if err != nil {
			return &damaged{err: refusal.Malformed.With("gzip: %v", err)}
		}
		return &damaged{r: z}
	}
}

// archive looks at the files of a zip archive.
func (f *finder) archive(data []byte, where string, depth int) {
	data = data[max(0, bytes.Index(data, []byte(zipMagic))):]
	if n := bytes.Count(data, []byte(zipEntryMagic)); n > maxEntries {
		f.refuse(where, refusal.TooManyParts.With("a zip file with %d entries", n))
		return
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		f.damagedArchive(data, join(where, "zip"), depth)
		return
	}
	for _, file := range z.File {
		if strings.HasSuffix(file.Name, "/") || strings.HasPrefix(file.Name, "__MACOSX/") {
			continue
		}
		at := join(where, fmt.Sprintf("zip %.100q", path.Base(file.Name)))
		if !f.another(at) {
			return
		}
		if file.Flags&1 != 0 {
			f.refuse(at, refusal.Encrypted.With("%.100q", file.Name))
			continue
		}
		f.look(content{open: f.layer(func() io.Reader { return openFile(file) })}, at, depth+1)
	}
}

func openFile(file *zip.File) io.Reader {
	r, err := file.Open()
	if err != nil {
		return &damaged{err: refusal.Malformed.With("zip: %v", err)}
	}
	return &damaged{r: r}
}

// damagedArchive reads the first file of an archive whose directory is missing: it was cut, or its
// end has something else.
func (f *finder) damagedArchive(data []byte, where string, depth int) {
	const headerLength = 30
	if len(data) < headerLength || !f.another(where) {
		f.refuse(where, refusal.Truncated.With("the zip file"))
		return
	}
	start := headerLength + int(binary.LittleEndian.Uint16(data[26:])) + int(binary.LittleEndian.Uint16(data[28:]))
	method := binary.LittleEndian.Uint16(data[8:])
	switch {
	case data[6]&1 != 0:
		f.refuse(where, refusal.Encrypted.With("the zip file"))
	case start > len(data) || method != zip.Deflate:
		f.refuse(where, refusal.Malformed.With("a zip file without its directory"))
	default:
		f.look(content{open: f.layer(func() io.Reader { return &damaged{r: flate.NewReader(bytes.NewReader(data[start:]))} })}, where, depth+1)
	}
}
