// Package config reads Signpost's configuration file: YAML 1.2, held strictly to
// the types of the sections it is decoded into.
//
// A configuration decides whose mail is signed and what is refused, so a key that
// nobody reads must never pass in silence. Every mistake of a file is found in one
// reading and told with its line, its path and what to write instead; see
// [Source]. The sections themselves, their defaults and their rules belong to the
// packages that they configure.
//
// What differs from YAML as a general decoder takes it:
//
//   - Scalars are taken as they are written: 0660 and 2026 are the text "0660" and
//     "2026" where text is wanted, and only true and false are booleans.
//   - Times and sizes carry a unit ("2s", "150MB"); the number 0 needs none.
//   - An empty value ("key:") keeps the defaults of a section and is a mistake
//     anywhere else, since it could mean "nothing" as well as "the default".
//   - A list replaces the default list. A scalar is not a list of one.
//   - Anchors, aliases, merge keys, tags and second documents are refused.
package config
