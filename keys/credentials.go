package keys

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// credentialsFolder is the folder of the service's credentials, LoadCredential in
// systemd.exec(5); "" outside of systemd.
func credentialsFolder() string { return os.Getenv("CREDENTIALS_DIRECTORY") }

// folderCredential is the ID of a whole key folder. systemd replaces slashes by underscores.
const folderCredential = "keys_"

// credentials returns the files where systemd may have put a key: with the name of its record,
// with or without ".pem", or as a part of a whole key folder.
func credentials(name Ref) []string {
	folder := credentialsFolder()
	if folder == "" {
		return nil
	}
	return []string{
		filepath.Join(folder, name.RecordName()),
		filepath.Join(folder, name.RecordName()+".pem"),
		filepath.Join(folder, folderCredential+name.Domain+"_"+name.Selector+".pem"),
	}
}

// credentialRefs returns the names of the keys among the credentials. It ignores other names:
// if one is misspelled, the message about the missing key names it.
func credentialRefs() []Ref {
	folder := credentialsFolder()
	if folder == "" {
		return nil
	}
	files, _ := os.ReadDir(folder)
	var refs []Ref
	for _, file := range files {
		id := strings.TrimSuffix(file.Name(), ".pem")
		selector, domain, ok := strings.Cut(id, "._domainkey.")
		if within, folded := strings.CutPrefix(id, folderCredential); !ok && folded {
			// A selector may contain an underscore, a mail domain hardly ever.
			domain, selector, ok = strings.Cut(within, "_")
		}
		if ref, err := (Ref{domain, selector}).Canonical(); ok && err == nil {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, Ref.Compare)
	return slices.Compact(refs)
}
