// Package e2e holds the end-to-end tests: the built signpost program behind
// Debian's own Postfix and Sendmail, on loopback. Mail goes in by SMTP and by
// sendmail(1), comes out at a sink inside the test, and is judged there byte for
// byte: what Signpost signed is verified by three other implementations (dkimpy,
// OpenDKIM, go-msgauth), what it verified is read back from Authentication-Results.
//
// The tests need root, for Postfix starts as root, and the packages that
// install-packages.sh names. Where either is missing they are skipped with one
// line that says why; with SIGNPOST_E2E=require in the environment that is a
// failure. SIGNPOST_BINARY names a program to test in place of the one built
// from this tree.
//
// Nothing of the system's own mail is touched: each MTA has its configuration,
// queue and log in a folder of its own and listens on ports of its own. Sendmail is
// not installed but unpacked, for its package excludes Postfix's, into
// SIGNPOST_E2E_CACHE or /var/cache/signpost-e2e. Postfix ends by
// itself if a test run dies. Foreign clients are pretended by Postfix's XCLIENT
// command, so no packet leaves the loopback interface, but for one: at its start,
// before it reads its configuration, Sendmail may ask DNS for the host's name.
package e2e
