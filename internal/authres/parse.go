package authres

import "fmt"

const (
	// maxResults and maxProperties limit the memory for one field.
	maxResults    = 1000
	maxProperties = 100 // of one result
)

// Parse reads a field's value as it is in the header: folds may be CRLF or LF before
// white space, and comments may occur wherever the grammar has CFWS. It returns names
// and results in lower case, and values unchanged. An error means that no part of the
// field may be trusted: it is malformed, too large, or of a version other than 1
// (§2.6).
func Parse(value string) (Field, error) {
	l := newLexer(value)
	f := l.head()
	if l.err != nil {
		return Field{}, l.err
	}
	for l.err == nil && l.take(';') {
		// A final semicolon is not in the grammar but is common in real mail.
		if len(f.Results) > 0 && l.next() == 0 && l.err == nil {
			break
		}
		if len(f.Results) >= maxResults {
			l.fail(fmt.Sprintf("more than %d results", maxResults))
			break
		}
		r := l.resinfo()
		// §2.2 no-result: "none" alone.
		if r.Value == "" && r.Method == None && r.Version == 0 && len(f.Results) == 0 {
			return l.noResult(f)
		}
		if r.Value == "" {
			l.expected("a result")
		}
		f.Results = append(f.Results, r)
	}
	if l.next() != 0 || len(f.Results) == 0 {
		l.expected("a result")
	}
	if l.err != nil {
		return Field{}, l.err
	}
	return f, nil
}

// noResult ends a field that says "none".
func (l *lexer) noResult(f Field) (Field, error) {
	l.take(';')
	if l.next() != 0 {
		l.expected("the end, behind none,")
	}
	if l.err != nil {
		return Field{}, l.err
	}
	return f, nil
}

// head reads the authserv-id and the version, up to the first semicolon.
func (l *lexer) head() Field {
	var f Field
	f.AuthservID = l.value("an authserv-id")
	end := l.pos
	if c := l.next(); '0' <= c && c <= '9' && l.pos > end {
		f.Version = l.number()
		if f.Version != 1 {
			l.fail("a version other than 1")
		}
	}
	if f.AuthservID == "" {
		l.fail("an empty authserv-id")
	}
	if l.next() != ';' {
		l.expected("a semicolon behind the authserv-id")
	}
	return f
}

// resinfo reads one result, up to a semicolon or the end. A word without "=" is
// returned as a method with an empty value.
func (l *lexer) resinfo() Result {
	r := Result{Method: l.keyword("a method")}
	if l.take('/') {
		r.Version = l.number()
	}
	if !l.take('=') {
		return r
	}
	r.Value = l.keyword("a result")
	hasReason := false
	for c := l.next(); c != 0 && c != ';'; c = l.next() {
		p, dotted := l.propertyName()
		if !dotted && p.Name == "reason" {
			if hasReason {
				l.fail("two reasons for one result")
			}
			r.Reason = l.value("a reason")
			hasReason = true
			continue
		}
		p.Value = l.loose()
		if len(r.Properties) >= maxProperties {
			l.fail(fmt.Sprintf("more than %d properties in one result", maxProperties))
		}
		if l.err != nil {
			return r
		}
		r.Properties = append(r.Properties, p)
	}
	return r
}

// propertyName reads "ptype.property =", or "property =" without a type.
func (l *lexer) propertyName() (p Property, dotted bool) {
	p.Name = l.keyword("a property")
	if l.take('.') {
		dotted = true
		p.Type = p.Name
		p.Name = l.keyword("a property's name")
	}
	if !l.take('=') {
		l.expected("=")
	}
	return p, dotted
}
