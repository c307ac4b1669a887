package mta

import (
	"slices"
	"strconv"
	"strings"
)

// A Service is one line of master.cf.
type Service struct {
	Name, Type string // such as "smtp" and "inet"
	Command    string // the program, such as "smtpd"
	// Unprivileged: the process runs as mail_owner.
	Unprivileged bool
	// Chroot: the process sees queue_directory as the root of the file system.
	Chroot bool
	// MaxProcesses is 0 where there is no limit.
	MaxProcesses int
	overrides    map[string]string // by -o
}

// Key is the service as postconf -M, -F and -P name it: "smtp/inet".
func (s Service) Key() string { return s.Name + "/" + s.Type }

// Overridden returns the unexpanded value that -o gives to the parameter.
func (s Service) Overridden(name string) (string, bool) {
	v, ok := s.overrides[name]
	return v, ok
}

// Port is the port of a service of type inet, as it stands there: "smtp", "25".
func (s Service) Port() string {
	if s.Type != "inet" {
		return ""
	}
	return s.Name[strings.LastIndexByte(s.Name, ':')+1:]
}

// Host is the address of a service of type inet, without brackets. It is empty where the service listens
// at inet_interfaces.
func (s Service) Host() string {
	at := strings.LastIndexByte(s.Name, ':')
	if s.Type != "inet" || at < 0 {
		return ""
	}
	return strings.Trim(s.Name[:at], "[]")
}

// parseMaster reads the services of master.cf, master(5). chroot and processes are what "-" means in
// those columns. A line that lacks columns is left out. Of two lines for one service, the last counts.
func parseMaster(text string, chroot bool, processes int) []Service {
	var services []Service
	for _, line := range logicalLines(text) {
		words := masterWords(line)
		if len(words) < 8 {
			continue
		}
		s := Service{
			Name: words[0], Type: words[1], Command: words[7],
			Unprivileged: words[3] != "n",
			Chroot:       words[4] == "y" || (words[4] != "n" && chroot),
			MaxProcesses: processes,
			overrides:    overrides(words[8:]),
		}
		if n, err := strconv.Atoi(words[6]); err == nil && n >= 0 {
			s.MaxProcesses = n
		}
		services = slices.DeleteFunc(services, func(o Service) bool { return o.Key() == s.Key() })
		services = append(services, s)
	}
	return services
}

// masterWords splits a line at white space. Text in braces is one word, with its braces.
func masterWords(line string) []string { return split(line, " \t") }

// overrides collects "-o name=value" and "-o { name = value }" from a command's arguments.
func overrides(args []string) map[string]string {
	found := map[string]string{}
	for i := 0; i < len(args); i++ {
		setting, isOverride := strings.CutPrefix(args[i], "-o")
		if !isOverride {
			continue
		}
		if setting == "" && i+1 < len(args) {
			i++
			setting = args[i]
		}
		if strings.HasPrefix(setting, "{") {
			setting = strings.TrimSuffix(setting[1:], "}")
		}
		if name, value, ok := nameValue(setting); ok {
			found[name] = value
		}
	}
	return found
}
