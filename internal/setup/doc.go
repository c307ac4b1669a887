// Package setup prepares a host for its first signed message (signpost init): keys, a
// configuration, the lines for the MTA. It looks at what is there, adds what is missing, and
// overwrites nothing, so that it can be run again at any time. It changes no file of the MTA
// except in Change.Do, which keeps a copy of each.
package setup
