package mta

import (
	"encoding/binary"
	"slices"
	"syscall"
)

// accessEntries is a POSIX access control list, acl(5): who, and the permissions.
type accessEntries []accessEntry

type accessEntry struct {
	tag  uint16
	perm uint32
	id   uint32
}

// The tags of acl(5) as the kernel stores them.
const (
	tagUser       = 0x02
	tagGroupOwner = 0x04
	tagGroup      = 0x08
	tagMask       = 0x10
)

// accessList reads the list of a file, if it has one.
func accessList(path string) (accessEntries, bool) {
	var buffer [4096]byte
	n, err := syscall.Getxattr(path, "system.posix_acl_access", buffer[:])
	if err != nil {
		return nil, false
	}
	return parseAccessList(buffer[:n])
}

// parseAccessList reads the form of the extended attribute: a version, then entries of tag, permission
// and id.
func parseAccessList(raw []byte) (accessEntries, bool) {
	const version, header, size = 2, 4, 8
	if len(raw) < header || binary.LittleEndian.Uint32(raw) != version {
		return nil, false
	}
	var list accessEntries
	for raw = raw[header:]; len(raw) >= size; raw = raw[size:] {
		list = append(list, accessEntry{
			binary.LittleEndian.Uint16(raw), uint32(binary.LittleEndian.Uint16(raw[2:])), binary.LittleEndian.Uint32(raw[4:]),
		})
	}
	return list, true
}

// may follows the algorithm of acl(5) for an account that does not own the file.
func (l accessEntries) may(want uint32, a Account, group, others uint32) bool {
	mask := uint32(7)
	if i := slices.IndexFunc(l, func(e accessEntry) bool { return e.tag == tagMask }); i >= 0 {
		mask = l[i].perm
	}
	inGroup := false
	for _, e := range l {
		switch {
		case e.tag == tagUser && e.id == a.UID:
			return e.perm&mask&want == want
		case e.tag == tagGroupOwner && slices.Contains(a.Groups, group), e.tag == tagGroup && slices.Contains(a.Groups, e.id):
			inGroup = true
			if e.perm&mask&want == want {
				return true
			}
		}
	}
	return !inGroup && others&want == want
}
