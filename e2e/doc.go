// Package e2e holds the end-to-end tests: the built signpost program behind
// Debian's own Postfix and Sendmail, on loopback. Mail goes in by SMTP and by
// sendmail(1), arrives at a sink inside the test, and is checked there byte for
// byte: three other implementations (dkimpy, OpenDKIM, go-msgauth) verify Signpost's
// signatures, and the tests read its results from Authentication-Results.
//
// The tests need root, since Postfix starts as root, and the packages that
// install-packages.sh names. If either is missing, they are skipped with one line that
// says why; with SIGNPOST_E2E=require in the environment that is a
// failure. SIGNPOST_BINARY names a program to test in place of the one built
// from this tree.
//
// The tests do not touch the system's own mail: each MTA has its own configuration,
// queue, log and ports. Sendmail is unpacked into SIGNPOST_E2E_CACHE or
// /var/cache/signpost-e2e and not installed, since its package conflicts with
// Postfix's. Postfix ends by itself if a test run dies. Postfix's XCLIENT command
// imitates foreign clients, so no packet leaves the loopback interface. One exception: at its start,
// before it reads its configuration, Sendmail may ask DNS for the host's name.
package e2e
