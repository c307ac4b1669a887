package dns

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
)

// resolvConf is where the system says which resolvers it uses.
const resolvConf = "/etc/resolv.conf"

// maxResolvConf is more than any resolver library reads of that file.
const maxResolvConf = 64 << 10

// systemServers reads the nameserver lines of a resolv.conf. All of them are used,
// where the C library takes three. The options timeout and attempts are not: ours
// are in our own configuration. Search lists have no part in checking mail. A file
// that is not there, or names nobody, means a resolver on this machine
// (resolv.conf(5)).
func systemServers(path string) ([]netip.AddrPort, error) {
	local := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return local, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the system's resolvers: %w; write them into dns.servers", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxResolvConf))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var servers []netip.AddrPort
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" || len(servers) == maxServers {
			continue
		}
		// A line that the C library cannot read is no server to it either.
		if server, err := parseServer(words[1]); err == nil {
			servers = append(servers, server)
		}
	}
	if len(servers) == 0 {
		return local, nil
	}
	return servers, nil
}
