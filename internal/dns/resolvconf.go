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

// resolvConf is the system's list of resolvers.
const resolvConf = "/etc/resolv.conf"

// maxResolvConf is more than any resolver library reads of that file.
const maxResolvConf = 64 << 10

// systemServers reads the nameserver lines of a resolv.conf. It uses all of them; the C
// library uses three. It ignores the options timeout and attempts, which our own
// configuration sets, and search lists, since names in mail are absolute. If the file
// is missing or names no server, the resolver is on this machine (resolv.conf(5)).
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
		// The C library ignores a line that it cannot parse, too.
		if server, err := parseServer(words[1]); err == nil {
			servers = append(servers, server)
		}
	}
	if len(servers) == 0 {
		return local, nil
	}
	return servers, nil
}
