package page

import (
	"embed"
	"html/template"
	"io"
)

//go:embed page.html style.css
var content embed.FS

var pageTemplate = template.Must(template.ParseFS(content, "page.html"))

// stylesheet is the one style sheet of all pages.
func stylesheet() []byte {
	css, err := content.ReadFile("style.css")
	if err != nil {
		panic(err) // it is part of the program
	}
	return css
}

// writeHTML renders a view.
func writeHTML(w io.Writer, v *view) error {
	return pageTemplate.Execute(w, struct {
		*view
		Links linkNames
	}{v, linkNames{v.Links}})
}

// linkNames gives the template what it needs of links.
type linkNames struct{ to links }

func (l linkNames) Overview() string    { return l.to.overview() }
func (l linkNames) Reports() string     { return l.to.reports() }
func (l linkNames) Sent() string        { return l.to.sent() }
func (l linkNames) WouldRefuse() string { return l.to.wouldRefuse() }
func (l linkNames) Style() string       { return l.to.style() }
