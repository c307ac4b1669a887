// Package tail shows messages as they pass. A Feed gets every decided message from the
// milter. It keeps the facts of the last ones in memory, so that they can be explained
// later, and passes them on to readers (signpost tail).
//
// Nothing here slows mail. Without a reader, a message costs one atomic load and, where
// facts are kept, a copy of a few hundred octets into memory that is allocated once. A
// reader that is too slow loses messages and is told how many.
//
// What is shown has no body, and of the header the author domains alone. Local parts of
// addresses and login names are hidden unless the configuration says otherwise.
package tail
