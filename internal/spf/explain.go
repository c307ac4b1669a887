package spf

// explain fetches and expands the explanation of a fail (§6.2). After any error there
// is no explanation.
func (e *evaluation) explain(v verdict) string {
	name, ex := e.targetName(v.explanation, v.domain)
	if ex != nil || name == "" {
		return ""
	}
	texts, err := e.resolver.LookupTXT(e.ctx, name)
	if err != nil || len(texts) != 1 || len(texts[0]) > maxRecord {
		return ""
	}
	m, err := parseMacroString(texts[0], inExplanation)
	if err != nil {
		return ""
	}
	if m.segments == nil {
		m.segments = []segment{{literal: m.text}}
	}
	var text []byte
	for i := range m.segments {
		if text, ex = e.expand(text, &m.segments[i], v.domain); ex != nil {
			return ""
		}
		if len(text) > maxExplanation {
			text = text[:maxExplanation]
			break
		}
	}
	// Macros may have inserted text of the sender and of the client.
	for _, c := range text {
		if c < ' ' || c > '~' {
			return ""
		}
	}
	return string(text)
}
