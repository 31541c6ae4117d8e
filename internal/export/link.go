package export

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
)

// Path is where files are fetched, followed by the export's id and a file name.
const Path = "/api/v1/exports/"

// kinds are the endings and media types of files; "" is evidence.
var kinds = map[Format]struct{ ending, mediaType string }{
	CSV:   {"csv", "text/csv; charset=utf-8"},
	XLSX:  {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
	JSONL: {"jsonl", "application/x-ndjson; charset=utf-8"},
	"":    {"zip", "application/zip"},
}

// titles are what files are called.
var titles = map[Subject]fault.Text{
	Contacts: {EN: "contacts", ZH: "客户"}, Groups: {EN: "groups", ZH: "客户群"}, Transfers: {EN: "transfers", ZH: "分配记录"},
	AuditLog: {EN: "audit-log", ZH: "操作日志"}, Evidence: {EN: "evidence", ZH: "交接证据"},
}

// fileName is what a browser calls the file of an export that was asked for at a time.
func fileName(s Subject, f Format, lang string, asked time.Time) string {
	return fmt.Sprintf("%s-%s.%s", titles[s].In(lang), asked.UTC().Format("20060102-150405"), kinds[f].ending)
}

// Link says which file may be fetched until when. It holds for one file name, so that
// nobody passes a file off as another.
type link struct {
	corp, export nid.ID
	name         string
	expires      int64 // seconds since 1970
}

// text is what is signed: parts of known length, then the name.
func (l link) text() []byte {
	b := append([]byte("export/1\x00"), l.corp[:]...)
	b = append(b, l.export[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(l.expires)) // #nosec G115 -- read back the same way
	return append(b, l.name...)
}

// url is the path with the signature, which brings the corp along: who fetches a file
// has no session, and a row is found in its corp only.
func (s *Service) url(l link) string {
	signature := append(l.corp[:len(l.corp):len(l.corp)], s.Links.Sign(l.text())...)
	return Path + l.export.String() + "/" + url.PathEscape(l.name) + "?expires=" + strconv.FormatInt(l.expires, 10) + "&signature=" + base64.RawURLEncoding.EncodeToString(signature)
}

// read gives the link of a request; false: it is none of ours, or too old.
func (s *Service) read(id, name string, query url.Values, now time.Time) (l link, ok bool) {
	export, err := nid.Parse(id)
	if err != nil || export.Kind() != nid.Export || export.String() != id || len(query["expires"]) != 1 || len(query["signature"]) != 1 {
		return l, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(query.Get("signature"))
	if err != nil || len(raw) != len(nid.ID{})+32 {
		return l, false
	}
	l = link{corp: nid.ID(raw[:len(nid.ID{})]), export: export, name: name}
	if l.expires, err = strconv.ParseInt(query.Get("expires"), 10, 64); err != nil || strconv.FormatInt(l.expires, 10) != query.Get("expires") {
		return l, false
	}
	return l, s.Links.Verify(l.text(), raw[len(nid.ID{}):]) && now.Unix() < l.expires
}

// URL is a new link to the file of a READY export, relative to the server. Only who
// asked for the export may be given it.
func (s *Service) URL(corp, export nid.ID, subject Subject, format Format, lang string, asked time.Time) string {
	return s.url(link{corp, export, fileName(subject, format, lang, asked), s.DB.Now().Add(LinkLife).Unix()})
}
