package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"signpost/keys"
)

// version is set by the build (-ldflags "-X main.version=…") of a release.
var version = ""

const versionText = `Print the version, the Go release that built it, and who does the RSA
arithmetic where keys.backend is auto: libcrypto, or Go with the reason why.

    signpost version [--json]

Example:

    signpost version --json
`

type versionInfo struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Backend  string `json:"signing_backend"`
	// BackendDetail is the version of the library, or why none is used.
	BackendDetail string `json:"signing_backend_detail,omitempty"`
}

func versionCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	f := flags("version", versionText, stderr)
	asJSON := f.Bool("json", false, "print one JSON object")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) > 0 {
		return wrongUsage(stderr, "version", fmt.Sprintf("unexpected argument %q", rest[0]))
	}
	v := currentVersion()
	if *asJSON {
		return printJSON(stdout, v)
	}
	fmt.Fprintf(stdout, "signpost %s (%s, %s), signing backend: %s\n", v.Version, v.Go, v.Platform, keys.BackendAuto.Info())
	return exitOK
}

func currentVersion() versionInfo {
	backend := keys.BackendAuto.Info()
	v := versionInfo{
		Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Backend: string(backend.Backend), BackendDetail: backend.Detail,
	}
	if v.Version == "" {
		v.Version = "development"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v.Version = info.Main.Version
		}
	}
	return v
}

func printJSON(w io.Writer, v any) int {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return exitFailure
	}
	if _, err := w.Write(asciiControls(text.Bytes())); err != nil {
		return exitFailure
	}
	return exitOK
}
