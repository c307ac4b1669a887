package keys

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// credentialsFolder is where systemd puts what LoadCredential names, readable for
// the service alone (systemd.exec(5)); "" outside of systemd.
func credentialsFolder() string { return os.Getenv("CREDENTIALS_DIRECTORY") }

// folderCredential is the ID under which a whole key folder is loaded; the slashes
// within it become underscores.
const folderCredential = "keys_"

// credentials are the files in which systemd may have put a key: under the name of
// its record, with or without ".pem", or as part of a whole key folder.
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

// credentialRefs names the keys among the credentials. Others are for other
// programs, or for somebody to misspell: a key that is listed and not found is told
// of with its own name.
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
			// A selector may have an underscore in it, a mail domain hardly ever.
			domain, selector, ok = strings.Cut(within, "_")
		}
		if ref, err := (Ref{domain, selector}).Canonical(); ok && err == nil {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, Ref.Compare)
	return slices.Compact(refs)
}
