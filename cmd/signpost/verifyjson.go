package main

import "signpost/verifier"

// reportJSON is the output of verify --json: the verifier's report, with go-msgauth's
// second opinion where it was asked, and with why the message was not judged.
func reportJSON(j judged) verifier.Report {
	r := j.Report()
	if len(j.opinions) > 0 {
		r = append(r, verifier.Member{Name: "second_opinion", Value: j.opinions})
	}
	if j.Unjudged != "" {
		r = append(r, verifier.Member{Name: "unjudged", Value: j.Unjudged})
	}
	return r
}
