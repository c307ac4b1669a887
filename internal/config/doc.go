// Package config reads Signpost's configuration file: YAML 1.2, decoded strictly
// into the types of its sections.
//
// A configuration decides whose mail is signed and which mail is refused, so an unknown
// key is always an error. Decode reports all mistakes of a file together, each with its
// line, its path and the correction; see [Source]. The sections, their defaults and
// their rules belong to the packages that they configure.
//
// Differences from a general YAML decoder:
//
//   - Scalars keep their written form: for a text value, 0660 and 2026 are the texts
//     "0660" and "2026". Only true and false are booleans.
//   - Times and sizes have a unit ("2s", "150MB"); the number 0 needs none.
//   - An empty value ("key:") keeps the defaults of a section and is an error
//     elsewhere, since it could mean "nothing" or "the default".
//   - A list replaces the default list. A scalar is not a list of one.
//   - Anchors, aliases, merge keys, tags and second documents are refused.
package config
