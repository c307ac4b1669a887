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
	// Backend is who does the RSA arithmetic.
	Backend Backend `yaml:"backend"`
	// InsecureMode is what happens to a key that everybody may read or replace.
	InsecureMode InsecureMode `yaml:"insecure_mode"`
	// State is the file with what is known of the keys' life. The daemon writes it,
	// and makes its folder if need be.
	State string `yaml:"state"`
	// CheckEvery is how often DNS is asked for each key that is as it should be.
	CheckEvery time.Duration `yaml:"check_every"`
	// QueueTime is how long mail that is signed may be on its way, here and
	// elsewhere: a key's record is needed that long after its last use.
	QueueTime time.Duration `yaml:"queue_time"`

	// Lent names for a domain another one, in whose folder its keys are where it has
	// none of its own. It is not read from the file: the section signer says it.
	Shared map[string]string
	// Optional are keys that Open may fail to load, with a warning: nobody who names
	// them in a database is to keep the daemon from starting.
	Optional map[Ref]bool
	// MayFail says which of the other keys Open may fail to load; nil: none. What lists
	// such a key does not sign with it, see lifecycle.SigningSet.
	MayFail func(Ref) bool

	shared       *sharedKeys     // of one Open
	surroundings *surroundings   // of one Open
	memory       *openssl.Memory // nil: the heap
}

// The bounds of the times in the section.
const (
	minCheck, maxCheck         = time.Second, 24 * time.Hour
	minQueueTime, maxQueueTime = time.Minute, 90 * 24 * time.Hour
)

// Backend is who does the RSA arithmetic. The key stays in the process either way.
type Backend string

const (
	BackendAuto    Backend = "auto"    // libcrypto where build and machine have it, else Go
	BackendGo      Backend = "go"      // Go's own
	BackendOpenSSL Backend = "openssl" // libcrypto
)

// InsecureMode is a choice between not signing and signing with a key that
// others may have.
type InsecureMode string

const (
	InsecureRefuse InsecureMode = "refuse" // the key is not loaded
	InsecureWarn   InsecureMode = "warn"   // it is, with a warning
)

// Defaults returns the section as it is when the file says nothing.
func Defaults() Config {
	return Config{
		Dir: "/var/lib/signpost/keys", Backend: BackendAuto, InsecureMode: InsecureRefuse,
		State: "/var/lib/signpost/state/keys.json",
		// Queues give mail up after five days as a rule (RFC 5321 §4.5.4.1); two more
		// for readers that verify late.
		CheckEvery: 10 * time.Minute, QueueTime: 7 * 24 * time.Hour,
	}
}

// Validate reports every mistake with its path within the section. It looks at
// the words only; what is wrong with the files is for Open to say.
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
