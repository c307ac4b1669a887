package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"signpost/internal/control"
	"signpost/internal/display"
	"signpost/internal/dns"
	"signpost/internal/message"
	"signpost/internal/reports/outgoing"
)

const reportPreviewText = `Show what a domain is told about its mail of a day (RFC 9990), to whom the
report goes, and why not. Nothing is sent or changed. DNS is asked now, as it
will be before the report is sent.

    signpost report preview DOMAIN [OPTIONS]

DOMAIN is an author domain, or the domain of its DMARC record. The report of
today is about the mail until now. The exit code is 1 if none is sent.

Example:

    signpost report preview example.com --day yesterday --xml
`

func reportPreviewCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	const name = "report preview"
	f := flags(name, reportPreviewText, stderr)
	place := newReportPlace(name, f, stdout, stderr)
	xml := f.Bool("xml", false, "print the report itself")
	dayText := f.String("day", "today", "the UTC `DAY`: today, yesterday or 2026-11-21")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) != 1 {
		return place.usage("give one domain")
	}
	domain, ok := message.DomainToASCII(rest[0])
	if !ok {
		return place.usage(fmt.Sprintf("%q is not a domain name", rest[0]))
	}
	at, err := parseDay(*dayText)
	if err != nil {
		return place.usage(err.Error())
	}
	if *xml && *place.json {
		return place.usage("--xml and --json exclude each other")
	}
	p, err := preview(place, domain, at)
	switch {
	case err != nil:
		return place.fail(err)
	case *xml:
		err = writePreviewXML(p, stdout, stderr)
	case *place.json:
		printJSON(stdout, previewJSON(p))
	default:
		_, err = io.WriteString(stdout, previewScreen(p))
	}
	if err != nil {
		return place.fail(err)
	}
	if p.Reason != "" {
		return exitFailure
	}
	return exitOK
}

// parseDay reads a UTC day, counted from 1970.
func parseDay(text string) (int64, error) {
	switch text {
	case "today":
		return today(), nil
	case "yesterday":
		return today() - 1, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return 0, fmt.Errorf("--day %q is no day: write today, yesterday or 2026-11-21", text)
	}
	return at.Unix() / int64(day/time.Second), nil
}

func preview(place reportPlace, domain string, at int64) (outgoing.Preview, error) {
	ctx := context.Background()
	c, db, err := place.open(ctx)
	if err != nil {
		return outgoing.Preview{}, err
	}
	defer db.Close()
	resolver, err := dns.Open(c.DNS)
	if err != nil {
		return outgoing.Preview{}, err
	}
	dir := outgoing.NewDirectory(resolver, c.Verifier.DMARC.Discovery)
	return outgoing.NewPreview(ctx, db, c.Reports.Out, dir, "Signpost "+currentVersion().Version, domain, at, clock())
}

// writePreviewXML prints the report about the final policy.
func writePreviewXML(p outgoing.Preview, stdout, stderr io.Writer) error {
	if len(p.Reports) == 0 {
		return errors.New(p.Reason)
	}
	if n := len(p.Reports) - 1; n > 0 {
		fmt.Fprintf(stderr, "signpost report preview: the record changed on this day: this is the report about its final policy, and there are %d more\n", n)
	}
	text, err := p.Reports[0].XML()
	if err == nil {
		_, err = stdout.Write(text)
	}
	return err
}

// previewScreen is the preview for a terminal of 80 columns. Names that are longer stay whole.
func previewScreen(p outgoing.Preview) string {
	var b strings.Builder
	line := func(label, text string) {
		for _, part := range wrapped(printable(text), helpWidth-14) {
			fmt.Fprintf(&b, "  %-12s%s\n", label, part)
			label = ""
		}
	}
	fmt.Fprintf(&b, "%s, mail of %s (UTC)\n\n", p.Domain, p.Day.Format(time.DateOnly))
	if p.Reason != "" {
		line("Not sent", p.Reason)
	}
	for _, r := range p.Reports {
		previewReport(r, p.Begins, line)
	}
	for _, d := range p.Consent.Destinations {
		label, text := previewDestination(p, d)
		line(label, text)
	}
	return b.String()
}

func previewReport(r outgoing.PreviewReport, begins time.Time, line func(label, text string)) {
	line("Report", r.ReportID)
	line("State", previewState(r, begins))
	line("Policy", r.Record)
	messages := fmt.Sprintf("%s in %s", display.Count(r.Messages, "message"), display.Count(r.Records, "record"))
	if r.Optional > 0 {
		messages += fmt.Sprintf(", %d of them no reason to report", r.Optional)
	}
	line("Mail", messages)
	line("File", r.FileName)
	if r.Note != "" {
		line("Note", r.Note)
	}
	for _, d := range r.Deliveries {
		line(d.State, fmt.Sprintf("%s, %s %s", d.Address, d.At.Format("2006-01-02 15:04"), d.Reply))
	}
}

func previewState(r outgoing.PreviewReport, begins time.Time) string {
	switch {
	case r.State == "":
		return "not planned yet: the reports of the day begin at " + begins.Format("2006-01-02 15:04") + " UTC"
	case r.Why == "":
		return r.State
	}
	return r.State + ": " + r.Why
}

// previewDestination says whether a report goes to a destination.
func previewDestination(p outgoing.Preview, d outgoing.Destination) (label, text string) {
	switch paused, ok := p.Paused(d.Address); {
	case d.Problem != "":
		return "Not to", d.URI + ": " + d.Problem
	case d.Err != nil:
		return "Waits", d.URI + ": " + d.Err.Error()
	case ok:
		return "Not to", fmt.Sprintf("%s until %s: %s; lift it with signpost report suppressed --lift %s", d.Address, paused.Until.Format(time.DateOnly), paused.Why, paused.Address)
	case d.External != "":
		return "To", d.Address + " (confirmed by " + d.External + ")"
	}
	return "To", d.Address
}

// previewReportJSON is one report in the JSON of report preview.
type previewReportJSON struct {
	ReportID   string                `json:"report_id"`
	File       string                `json:"file"`
	Policy     string                `json:"policy"`
	Messages   int64                 `json:"messages"`
	Records    int64                 `json:"records"`
	Optional   int64                 `json:"optional"`
	Note       string                `json:"note,omitempty"`
	State      string                `json:"state,omitempty"`
	Why        string                `json:"why,omitempty"`
	Due        *time.Time            `json:"due,omitempty"`
	Deliveries []previewDeliveryJSON `json:"deliveries"`
}

type previewDeliveryJSON struct {
	Address string    `json:"address"`
	State   string    `json:"state"`
	Reply   string    `json:"reply,omitempty"`
	At      time.Time `json:"at"`
}

type previewDestinationJSON struct {
	URI         string `json:"uri"`
	Address     string `json:"address,omitempty"`
	ConfirmedBy string `json:"confirmed_by,omitempty"`
	Sent        bool   `json:"sent"`
	Why         string `json:"why,omitempty"`
	Suppressed  string `json:"suppressed_until,omitempty"`
}

func previewJSON(p outgoing.Preview) any {
	destinations := []previewDestinationJSON{}
	for _, d := range p.Consent.Destinations {
		j := previewDestinationJSON{URI: d.URI, Address: d.Address, ConfirmedBy: d.External, Sent: d.Open(), Why: d.Problem}
		if d.Err != nil {
			j.Why = d.Err.Error()
		}
		if paused, ok := p.Paused(d.Address); ok && d.Open() {
			j.Sent, j.Why, j.Suppressed = false, paused.Why, paused.Until.Format(time.RFC3339)
		}
		destinations = append(destinations, j)
	}
	reports := []previewReportJSON{}
	for _, r := range p.Reports {
		j := previewReportJSON{
			ReportID: r.ReportID, File: r.FileName, Policy: r.Record, Messages: r.Messages, Records: r.Records, Optional: r.Optional,
			Note: r.Note, State: r.State, Why: r.Why, Deliveries: []previewDeliveryJSON{},
		}
		if !r.Due.IsZero() {
			j.Due = &r.Due
		}
		for _, d := range r.Deliveries {
			j.Deliveries = append(j.Deliveries, previewDeliveryJSON(d))
		}
		reports = append(reports, j)
	}
	return struct {
		Domain       string                   `json:"domain"`
		Day          string                   `json:"day"`
		Sent         bool                     `json:"sent"`
		Why          string                   `json:"why,omitempty"`
		Begins       time.Time                `json:"begins"`
		Reports      []previewReportJSON      `json:"reports"`
		Destinations []previewDestinationJSON `json:"destinations"`
	}{p.Domain, p.Day.Format(time.DateOnly), p.Reason == "", p.Reason, p.Begins, reports, destinations}
}

const reportSuppressedText = `List the addresses that get no reports for a while, because one came back, or
let one have reports again.

    signpost report suppressed [--lift ADDRESS] [OPTIONS]

An address pauses for 2 days after its first bounce, then for 7, then for 30.

Example:

    signpost report suppressed --lift dmarc@example.com
`

func reportSuppressedCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	const name = "report suppressed"
	f := flags(name, reportSuppressedText, stderr)
	place := newReportPlace(name, f, stdout, stderr)
	lift := f.String("lift", "", "let this `ADDRESS` have reports again")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) > 0 {
		return place.usage("it takes no arguments")
	}
	if *lift != "" && !strings.Contains(*lift, "@") {
		return place.usage(fmt.Sprintf("--lift: %q is not an address", *lift))
	}
	ctx := context.Background()
	_, db, err := place.open(ctx)
	if err != nil {
		return place.fail(err)
	}
	defer db.Close()
	if *lift != "" {
		ok, err := outgoing.Lift(ctx, db, *lift)
		switch {
		case err != nil:
			return place.fail(err)
		case !ok:
			return place.fail(&control.Error{Problem: fmt.Sprintf("%s is not suppressed", *lift), Remedy: "signpost report suppressed lists the addresses that are"})
		}
	}
	all, err := outgoing.AllSuppressed(ctx, db, time.Now())
	if err != nil {
		return place.fail(err)
	}
	if *place.json {
		printJSON(stdout, suppressedJSON(all))
		return exitOK
	}
	_, _ = io.WriteString(stdout, suppressedScreen(all, *lift)) // run notes the error
	return exitOK
}

func suppressedScreen(all []outgoing.Suppressed, lifted string) string {
	var b strings.Builder
	if lifted != "" {
		fmt.Fprintf(&b, "%s gets reports again.\n", lifted)
	}
	if len(all) == 0 && lifted == "" {
		return "No address is suppressed.\n"
	}
	for _, s := range all {
		fmt.Fprintf(&b, "%s\n", s.Address)
		for _, line := range wrapped(fmt.Sprintf("until %s, after %s: %s", s.Until.Format("2006-01-02 15:04"), display.Count(s.Bounces, "bounce"), s.Why), helpWidth-4) {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	return b.String()
}

func suppressedJSON(all []outgoing.Suppressed) any {
	type address struct {
		Address string    `json:"address"`
		Since   time.Time `json:"since"`
		Until   time.Time `json:"until"`
		Bounces int       `json:"bounces"`
		Why     string    `json:"why"`
	}
	list := []address{}
	for _, s := range all {
		list = append(list, address(s))
	}
	return struct {
		Suppressed []address `json:"suppressed"`
	}{slices.Clip(list)}
}
