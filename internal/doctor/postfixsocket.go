package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"signpost/internal/mta"
)

// sockets looks at the unix sockets of one way as its processes see them.
func (p *postfix) sockets(c *chain) {
	for _, l := range c.ours() {
		if l.Network != "unix" {
			continue
		}
		if l.hidden {
			p.chrootSocket(c, l)
			continue
		}
		p.socketPermission(c, l)
	}
}

// chrootSocket is about a path that leads elsewhere, because the service is in a chroot or because it is not.
func (p *postfix) chrootSocket(c *chain, l link) {
	queue, path := p.Value("queue_directory"), l.listener.Address.Addr
	f := Finding{ID: "postfix.chroot-socket", Subject: c.listSubject()}
	f.Finding = fmt.Sprintf("%s runs in a chroot, where %s means %s%s, but the socket is %s", c.service.Key(), l.Text, queue, l.Address, path)
	if !c.service.Chroot {
		f.Finding = fmt.Sprintf("%s runs outside of the chroot %s, where %s is not the socket %s", c.service.Key(), queue, l.Text, path)
	}
	if inside, ok := within(queue, path); ok {
		f.Remedy = c.setList("Name the socket from queue_directory, without a slash in front:", c.replaced(l.Text, l.with("unix:"+inside)))
		p.find(f)
		return
	}
	// The socket is outside of the chroot: the service has to leave it, or the socket to enter.
	f.Subject = c.service.Key()
	f.Remedy = do(fmt.Sprintf("Let the service run without a chroot (or move the socket below %s, as docs/postfix.md has it):", queue),
		p.postconf("-F", c.service.Key()+"/chroot=n"), p.reload())
	p.find(f)
}

// socketPermission looks at every folder on the way to the socket, and the socket itself.
func (p *postfix) socketPermission(c *chain, l link) {
	if !p.hasAccount {
		p.h.unseen("who may open "+l.Address, "there is no user "+p.Value("mail_owner")+" (mail_owner) on this host")
		return
	}
	if !c.service.Unprivileged {
		return
	}
	steps, err := p.View(c.service).Resolve(l.Address)
	var denied mta.Denied
	ok := true
	switch {
	case errors.Is(err, fs.ErrNotExist):
		denied, ok = p.account.Enters(steps) // the daemon is down, which is another finding
	case err != nil:
		p.h.unseen("the way to "+l.Address, err.Error())
	default:
		denied, ok = p.account.Connects(steps)
	}
	if !ok {
		p.permission(l, denied)
	}
}

func (p *postfix) permission(l link, d mta.Denied) {
	owner, group := d.Owner()
	f := Finding{ID: "postfix.socket-permission", Subject: l.listener.Address.Addr}
	what := "enter the folder"
	if d.Socket {
		what = "write to the socket"
	}
	f.Finding = fmt.Sprintf("the user %s may not %s %s (owner %s, group %s, mode %04o)", p.account.Name, what, d.Path, owner, group, d.Info.Mode().Perm())
	f.Remedy = p.permit(l, d, group)
	p.find(f)
}

// permit gives Postfix' group the right that is missing. Postfix' user does not enter our group, which reads
// private keys.
func (p *postfix) permit(l link, d mta.Denied, group string) Remedy {
	bit := "g+x"
	if d.Socket {
		bit = "g+w"
	}
	if !d.Socket && d.Path != filepath.Dir(l.listener.Address.Addr) {
		return do("Let others pass through the folder:", []string{"chmod", "o+x", d.Path})
	}
	var commands [][]string
	own := p.account.Group
	if g, ok := p.account.InGroup(d.Step); !ok {
		commands = append(commands, []string{"chgrp", own, d.Path})
	} else {
		own = g
	}
	commands = append(commands, []string{"chmod", bit, d.Path})
	text := fmt.Sprintf("Give the group %s access", own)
	if group == own {
		text = fmt.Sprintf("Give the group %s the right that is missing", own)
	}
	if d.Socket {
		return do(text+fmt.Sprintf(`. So that the next start keeps it, signpost.yaml has milter.socket_mode: "0660" and milter.socket_group: %s, of which the user of Signpost is a member:`, own), commands...)
	}
	return do(text+". Where systemd or systemd-tmpfiles makes the folder, its line there needs the same (deploy/tmpfiles.d/signpost-postfix.conf):", commands...)
}
