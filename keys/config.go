package keys

import "signpost/internal/config"

// Config is the section `keys` of the configuration.
type Config struct {
	// Dir is the folder with a folder for each domain.
	Dir string `yaml:"dir"`
	// Backend is who does the RSA arithmetic.
	Backend Backend `yaml:"backend"`
	// InsecureMode is what happens to a key that everybody may read or replace.
	InsecureMode InsecureMode `yaml:"insecure_mode"`
}

// Backend is who does the RSA arithmetic. The key stays in the process either way.
type Backend string

const (
	BackendAuto    Backend = "auto"    // the fastest that the machine has
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
	return Config{Dir: "/var/lib/signpost/keys", Backend: BackendAuto, InsecureMode: InsecureRefuse}
}

// Validate reports every mistake with its path within the section. It looks at
// the words only; what is wrong with the files is for Open to say.
func (c Config) Validate(bad func(path, problem string)) {
	if c.Dir == "" {
		bad("dir", "a folder is needed: write "+Defaults().Dir+", or take the key out to have it")
	}
	config.OneOf(bad, "backend", c.Backend, BackendAuto, BackendGo, BackendOpenSSL)
	if c.Backend == BackendOpenSSL {
		bad("backend", "this build has no libcrypto backend: write auto or go")
	}
	config.OneOf(bad, "insecure_mode", c.InsecureMode, InsecureRefuse, InsecureWarn)
}
