package dmarc

import (
	"context"
	"testing"
)

func TestARuleOfTheHostNeedsNoPublishedPolicy(t *testing.T) {
	for _, tt := range []struct {
		name, author, at, id string
		dns                  records
		want                 Result
	}{
		{"no record, nothing aligned", "ours.example", "ours.example", "x.example", records{}, Fail},
		{"no record, the author domain", "ours.example", "ours.example", "ours.example", records{}, Pass},
		{"no record, a subdomain of the rule's domain", "ours.example", "ours.example", "b.ours.example", records{}, Pass},
		{"no record, another subdomain of the rule's domain", "a.ours.example", "ours.example", "b.ours.example", records{}, Pass},
		{"no record, a name that ends alike", "ours.example", "ours.example", "notours.example", records{}, Fail},
		{"a look-up that fails", "ours.example", "ours.example", "x.test", records{"_dmarc.ours.example": {"!"}}, Fail},
		{"an invalid record", "ours.example", "ours.example", "x.test", records{"_dmarc.ours.example": {"v=DMARC1; p=none; p=none"}}, Fail},
		{"a record with strict alignment", "ours.example", "ours.example", "b.ours.example", records{"_dmarc.ours.example": {"v=DMARC1; p=none; aspf=s"}}, Fail},
		{"a record, unknown whether the author domain exists", "a.ours.example", "a.ours.example", "x.test",
			records{"_dmarc.ours.example": {"v=DMARC1; p=reject; np=none"}, "a.ours.example": {"!"}}, Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := Discover(context.Background(), tt.dns, tt.author, TreeWalk)
			e := Evaluate(context.Background(), tt.dns, d.UnderRule(tt.at), []Identifier{{Domain: tt.id, Pass: true}}, nil)
			if e.Result != tt.want {
				t.Errorf("%s (%s), want %s", e.Result, e.Reason, tt.want)
			}
		})
	}
}
