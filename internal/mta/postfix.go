package mta

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Postfix is the configuration of one instance.
type Postfix struct {
	Dir      string // config_directory, absolute
	Services []Service
	// ByPostconf: postconf(1) gave the values, so that the defaults are those of the installed release.
	ByPostconf bool
	// Problem says why postconf(1), although installed, did not give them; or it is empty.
	Problem string

	set    map[string]string // by main.cf
	params map[string]string // with the defaults
}

// postconfTime limits one run of postconf(1), which takes milliseconds.
const postconfTime = 5 * time.Second

// ReadPostfix reads main.cf and master.cf in dir: by postconf(1) where that is installed, else by itself.
func ReadPostfix(ctx context.Context, dir string) (*Postfix, error) {
	p, err := parsePostfix(dir)
	if err != nil {
		return nil, err
	}
	program := Program("postconf")
	if program == "" {
		return p, nil
	}
	params, err := runPostconf(ctx, program, append([]string{"-c", p.Dir}, p.names()...)...)
	if err != nil {
		p.Problem = err.Error()
		return p, nil
	}
	services, err := runPostconf(ctx, program, "-M", "-c", p.Dir)
	if err != nil {
		p.Problem = err.Error()
		return p, nil
	}
	p.ByPostconf = true
	for name, value := range parseMain(params) {
		p.params[name] = value
	}
	p.readServices(services)
	return p, nil
}

// parsePostfix is ReadPostfix without postconf(1).
func parsePostfix(dir string) (*Postfix, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	main, err := readConfig(filepath.Join(dir, "main.cf"))
	if err != nil {
		return nil, err
	}
	master, err := readConfig(filepath.Join(dir, "master.cf"))
	if err != nil {
		return nil, err
	}
	p := &Postfix{Dir: dir, set: parseMain(main), params: map[string]string{}}
	for name, value := range p.defaults() {
		p.params[name] = value
	}
	for name, value := range p.set {
		p.params[name] = value
	}
	p.readServices(master)
	return p, nil
}

// names are the parameters that postconf(1) is asked for. The values of others do not concern milters.
func (p *Postfix) names() []string {
	names := slices.Concat(slices.Collect(maps.Keys(p.defaults())), slices.Collect(maps.Keys(p.set)), emptyByDefault)
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(n string) bool { return nameLength(n) != len(n) })
}

func (p *Postfix) readServices(master string) {
	// master(5), since Postfix 3.0: without chroot, from compatibility_level 1 on.
	chroot := CompareVersions(p.Value("mail_version"), "3.0") < 0 || CompareVersions(p.Value("compatibility_level"), "1") < 0
	processes, err := strconv.Atoi(p.Value("default_process_limit"))
	if err != nil {
		processes = 100
	}
	p.Services = parseMaster(master, chroot, processes)
}

// readConfig reads a configuration file up to a limit.
func readConfig(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err == nil && len(text) > maxConfigBytes {
		err = fmt.Errorf("%s is larger than %d octets", path, maxConfigBytes)
	}
	return string(text), err
}

// Program finds an administrator's command, whose folder may be missing from an ordinary user's PATH. It
// is empty where there is none.
func Program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return ""
}

func runPostconf(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, postconfTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, lastLine(said.String()))
	}
	return string(out), nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

func (p *Postfix) raw(name string) string { return p.params[name] }

// Value is a parameter of main.cf or its default, expanded.
func (p *Postfix) Value(name string) string { return strings.TrimSpace(expand(p.raw(name), p.raw)) }

// Raw is the parameter as main.cf has it or, where that does not, as its default is written. It is not expanded.
func (p *Postfix) Raw(name string) string { return p.raw(name) }

// InMain reports whether main.cf has the parameter.
func (p *Postfix) InMain(name string) bool {
	_, ok := p.set[name]
	return ok
}

// For is the parameter as the service sees it, expanded.
func (p *Postfix) For(s Service, name string) string {
	lookup := func(name string) string {
		if v, ok := s.overrides[name]; ok {
			return v
		}
		return p.raw(name)
	}
	return strings.TrimSpace(expand(lookup(name), lookup))
}

// Service finds a service by its name and type.
func (p *Postfix) Service(name, kind string) (Service, bool) {
	for _, s := range p.Services {
		if s.Name == name && s.Type == kind {
			return s, true
		}
	}
	return Service{}, false
}

// maxInstances limits how many folders of multi_instance_directories count.
const maxInstances = 100

// Instances are the configuration folders of the further instances that this one manages and that
// are switched on.
func (p *Postfix) Instances() []string {
	var dirs []string
	for _, dir := range List(p.Value("multi_instance_directories")) {
		main, err := readConfig(filepath.Join(dir, "main.cf"))
		if err == nil && parseMain(main)["multi_instance_enable"] == "yes" && len(dirs) < maxInstances {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// Duration reads a time of main.cf, "300s", "5m", "1h"; plain numbers count seconds.
func Duration(text string) (time.Duration, bool) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	text = strings.TrimSpace(text)
	unit := time.Second
	if text != "" && units[text[len(text)-1]] != 0 {
		unit, text = units[text[len(text)-1]], text[:len(text)-1]
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return time.Duration(n) * unit, err == nil && n >= 0
}

// DefaultPostfix is the configuration folder of the Postfix that is installed, as postconf(1) says; it is
// empty where there is none.
func DefaultPostfix(ctx context.Context) string {
	program := Program("postconf")
	if program == "" {
		return ""
	}
	out, err := runPostconf(ctx, program, "-dh", "config_directory")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}
