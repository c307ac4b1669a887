package manual

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Schema returns the JSON Schema (draft 2020-12) of the configuration, for editors. It is as strict about names and
// fixed words as check-config, and knows nothing of what values mean together.
func Schema(root Key) ([]byte, error) {
	s := node(root)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Signpost's configuration, /etc/signpost/signpost.yaml"
	s["minProperties"] = 1
	s["type"] = "object"
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return text.Bytes(), err
}

func node(k Key) map[string]any {
	n := form(k)
	if len(k.Text) > 0 {
		n["description"] = strings.Join(k.Text, "\n")
	}
	if k.Default != nil {
		n["default"] = k.Default
	}
	return n
}

func form(k Key) map[string]any {
	switch k.Kind {
	case Section:
		return section(k)
	case List:
		return map[string]any{"type": "array", "items": node(*k.Item)}
	case Switch:
		return map[string]any{"type": "boolean"}
	case Number:
		return map[string]any{"type": "integer", "minimum": 0}
	}
	if k.Choices != nil {
		return map[string]any{"enum": k.Choices}
	}
	// YAML takes s2026 for a string and 2026 for a number; both are words here.
	n := map[string]any{"type": []string{"string", "number"}}
	if k.Pattern != "" {
		n["pattern"] = k.Pattern
	}
	return n
}

// section is a mapping without other keys. A section may be left empty.
func section(k Key) map[string]any {
	properties := map[string]any{}
	for _, sub := range k.Keys {
		properties[sub.Name] = node(sub)
	}
	n := map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
	if strings.HasSuffix(k.Path, "[]") {
		n["type"] = "object"
	}
	if k.Short {
		n["type"] = []string{"object", "string", "number"}
	}
	return n
}
