package keys

import (
	"fmt"
	"time"

	"signpost/internal/config"
	"signpost/internal/openssl"
)

// Config is the section `keys` of the configuration.
type Config struct {
	// Dir is the folder with a folder for each domain.
	Dir string `yaml:"dir"`
	// Backend says which library makes RSA signatures.
	Backend Backend `yaml:"backend"`
	// InsecureMode decides about a key that other users may read or replace.
	InsecureMode InsecureMode `yaml:"insecure_mode"`
	// State is the file with the facts of the keys' life. The daemon writes it, and makes its
	// folder if that is missing.
	State string `yaml:"state"`
	// CheckEvery is the interval of DNS queries for a key whose record is right.
	CheckEvery time.Duration `yaml:"check_every"`
	// QueueTime bounds how long signed mail may be on its way, here and elsewhere. The record of a
	// key is needed that long after its last use.
	QueueTime time.Duration `yaml:"queue_time"`

	// Shared names, for a domain, another domain whose keys it uses if it has none of its own; "":
	// none. It is not in the file: the section signer determines it. nil: no domain has another.
	Shared func(domain string) (owner string)
	// Optional are keys that Open may fail to load, with a warning: an entry in a database must
	// not keep the daemon from starting.
	Optional map[Ref]bool
	// MayFail says which other keys Open may fail to load; nil: none. The entries that list such a
	// key do not sign with it; see lifecycle.SigningSet.
	MayFail func(Ref) bool
	// GiveWay is called now and then by the long loops of Open, in one goroutine, and may pause; nil: no pauses.
	GiveWay func()

	folders      map[string]bool // of one Open: the names in Dir; nil: not known
	shared       *sharedKeys     // of one Open
	surroundings *surroundings   // of one Open
	memory       *openssl.Memory // nil: the heap
}

// The bounds of the times in the section.
const (
	minCheck, maxCheck         = time.Second, 24 * time.Hour
	minQueueTime, maxQueueTime = time.Minute, 90 * 24 * time.Hour
)

// Backend is the library that makes RSA signatures.
type Backend string

const (
	BackendAuto    Backend = "auto"    // libcrypto if the build and the host have it, else Go
	BackendGo      Backend = "go"      // Go's crypto/rsa
	BackendOpenSSL Backend = "openssl" // libcrypto
)

// InsecureMode is the choice between not signing and signing with a key that others may have.
type InsecureMode string

const (
	InsecureRefuse InsecureMode = "refuse" // the key is not loaded
	InsecureWarn   InsecureMode = "warn"   // the key is loaded, with a warning
)

// Defaults returns the section for an empty file.
func Defaults() Config {
	return Config{
		Dir: "/var/lib/signpost/keys", Backend: BackendAuto, InsecureMode: InsecureRefuse,
		State: "/var/lib/signpost/state/keys.json",
		// Queues give up after five days as a rule (RFC 5321 §4.5.4.1); two more for receivers that
		// verify late.
		CheckEvery: 10 * time.Minute, QueueTime: 7 * 24 * time.Hour,
	}
}

// Validate reports every mistake with its path within the section. Open checks the files.
func (c Config) Validate(bad func(path, problem string)) {
	if c.Dir == "" {
		bad("dir", "a folder is needed: write "+Defaults().Dir+", or take the key out to have it")
	}
	if c.State == "" {
		bad("state", "a file is needed: write "+Defaults().State+", or take the key out to have it")
	}
	config.OneOf(bad, "backend", c.Backend, BackendAuto, BackendGo, BackendOpenSSL)
	if c.Backend == BackendOpenSSL && !openssl.Built {
		bad("backend", "this build has no libcrypto backend: write auto or go")
	}
	config.OneOf(bad, "insecure_mode", c.InsecureMode, InsecureRefuse, InsecureWarn)
	if c.CheckEvery < minCheck || c.CheckEvery > maxCheck {
		bad("check_every", fmt.Sprintf("%s is out of range: write a time from %s to %s, as 10m", c.CheckEvery, minCheck, maxCheck))
	}
	if c.QueueTime < minQueueTime || c.QueueTime > maxQueueTime {
		bad("queue_time", fmt.Sprintf("%s is out of range: write a time from %s to %s, as 168h", c.QueueTime, minQueueTime, maxQueueTime))
	}
}
