// Command toydns is a DNS server for trials: toydns ADDRESS ZONEFILE. It reads the zone file
// anew for each question, over UDP and TCP, and has no caches.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/miekg/dns"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: toydns ADDRESS ZONEFILE")
		os.Exit(2)
	}
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, ask *dns.Msg) { _ = w.WriteMsg(reply(ask, os.Args[2])) })
	ended := make(chan error)
	for _, network := range []string{"udp", "tcp"} {
		server := &dns.Server{Addr: os.Args[1], Net: network, Handler: answer}
		go func() { ended <- server.ListenAndServe() }()
	}
	fmt.Fprintln(os.Stderr, "toydns:", <-ended)
	os.Exit(1)
}

// reply answers from the file. A name without records does not exist; a file that cannot be
// read is SERVFAIL.
func reply(ask *dns.Msg, path string) *dns.Msg {
	answer := new(dns.Msg).SetReply(ask)
	answer.Authoritative, answer.RecursionAvailable = true, true
	zone, err := os.ReadFile(path)
	if err != nil || len(ask.Question) != 1 {
		return answer.SetRcode(ask, dns.RcodeServerFailure)
	}
	question := ask.Question[0]
	exists := false
	parser := dns.NewZoneParser(strings.NewReader(string(zone)), ".", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if !strings.EqualFold(rr.Header().Name, question.Name) {
			continue
		}
		exists = true
		if rr.Header().Rrtype == question.Qtype {
			answer.Answer = append(answer.Answer, rr)
		}
	}
	if parser.Err() != nil {
		return answer.SetRcode(ask, dns.RcodeServerFailure)
	}
	if !exists {
		answer.Rcode = dns.RcodeNameError
	}
	return answer
}
