// Package mta reads how the MTAs of a host are configured, as far as that concerns a milter:
// Postfix's main.cf and master.cf, sendmail.cf, files and sockets as the MTA's processes see them, and
// the MTA's log. It judges nothing and changes nothing.
package mta
