package export

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	piece    = 256 << 10        // what is sent at once
	patience = 30 * time.Second // for a piece to be taken
	look     = 5 * time.Second  // how often a long download is looked at
)

// gone is the one answer to every link that does not work, whatever is wrong with it.
func gone() *fault.Error {
	return fault.New(fault.NotFound, "", fault.T("this link does not work, or not any more; ask for the export again to get a new one", "此链接无效或已失效;请重新查询该导出以获取新链接"))
}

// elsewhere is the answer where the file is READY and not in this replica's folder.
func elsewhere() *fault.Error {
	return fault.New(fault.Unavailable, "", fault.T("the file is not in this server's data folder; replicas have to share that folder (docs/exports.md)", "文件不在本服务器的数据目录中;多副本部署须共享该目录(见 docs/exports.md)")).After(time.Minute)
}

// download is a file that a link may fetch.
type download struct {
	job
	state  State
	asked  time.Time
	scopes []byte
	size   int64
	until  time.Time
}

// ServeHTTP answers GET and HEAD for Path{id}/{file}. No session is needed: the link
// is the proof, and it works while the export is READY and its requester is at work,
// with the access they asked with and rights that cover the file. Each GET is recorded
// before the first byte is sent.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l, ok := s.read(r.PathValue("id"), r.PathValue("file"), r.URL.Query(), s.DB.Now())
	if !ok {
		refuse(w, r, gone())
		return
	}
	d, f, err := s.open(r.Context(), l, r.Method == http.MethodHead)
	if err != nil {
		refuse(w, r, err)
		return
	}
	defer func() { _ = f.Close() }()
	h := w.Header()
	h.Set("Content-Type", kinds[d.format].mediaType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": l.name}))
	h.Set("Content-Length", strconv.FormatInt(d.size, 10))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Accept-Ranges", "none")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	if err := s.send(r.Context(), w, f, l); err != nil {
		panic(http.ErrAbortHandler) // there is no other way to say that this is not all
	}
}

// send sends the file as fast as it is taken, and stops where the export ends.
func (s *Service) send(ctx context.Context, w http.ResponseWriter, f io.Reader, l link) error {
	control, buffer, last := http.NewResponseController(w), make([]byte, piece), time.Now()
	for {
		n, err := f.Read(buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		_ = control.SetWriteDeadline(time.Now().Add(patience)) // a test's recorder has none
		if _, err := w.Write(buffer[:n]); err != nil {
			return err
		}
		if time.Since(last) > look {
			last = time.Now()
			if d, err := s.find(ctx, l); err != nil || d.state != Ready {
				return errors.Join(errLost, err)
			}
		}
	}
}

// find reads the export of a link.
func (s *Service) find(ctx context.Context, l link) (d download, err error) {
	err = s.DB.View(store.System(ctx, l.corp, "exports"), func(ctx context.Context, q *store.Read) (err error) {
		d, err = s.load(ctx, q, l)
		return err
	})
	return d, err
}

func (s *Service) load(ctx context.Context, q store.Querier, l link) (d download, err error) {
	d, ok, err := store.SelectOne(ctx, q, func(d *download) []any {
		return []any{&d.id, &d.member, &d.epoch, &d.subject, orEmpty{&d.format}, &d.language, &d.token, &d.state, &d.asked, &d.scopes, orZero{&d.size}, orNever{&d.until}}
	}, `SELECT id, requested_by_id, epoch, subject, format, language, run_token, state, created_at, scopes, size, expires_at
		FROM exports WHERE corp_id = $1 AND id = $2`, l.corp, l.export)
	if err == nil && !ok {
		err = gone()
	}
	return d, err
}

// open checks everything again and opens the file. glance: nothing is taken, so
// nothing is recorded.
func (s *Service) open(ctx context.Context, l link, glance bool) (d download, f *os.File, err error) {
	if d, err = s.find(ctx, l); err != nil {
		return d, nil, err
	}
	was := access.From(ctx)
	ctx = access.With(ctx, &access.Actor{Kind: access.Person, Corp: l.corp, ID: d.member, Lang: was.Lang, RequestID: was.RequestID, Address: was.Address})
	err = s.Log.Tx(ctx, s.DB, access.ExportDownload, func(ctx context.Context, tx *store.Tx) error {
		if f != nil { // the transaction runs again
			_ = f.Close()
			f = nil
		}
		actor, err := s.standing(ctx, tx, &d.job)
		if err != nil {
			return err
		}
		if d, err = s.load(ctx, tx, l); err != nil {
			return err
		}
		then := reach{}
		switch {
		case d.state != Ready || !tx.Now().Before(d.until) || l.name != fileName(d.subject, d.format, d.language, d.asked):
			return gone()
		case actor == nil:
			return denied()
		}
		if err := json.Unmarshal(d.scopes, &then); err != nil {
			return err
		}
		if !may(actor, d.subject) || !reachOf(actor).covers(then, d.subject) {
			return denied()
		}
		if f, err = os.Open(s.at(l.corp, d.id, d.token)); err != nil { // #nosec G304 -- made of ids
			if errors.Is(err, fs.ErrNotExist) {
				return elsewhere()
			}
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.Size() != d.size {
			return elsewhere() // it is still on its way here
		}
		if glance {
			return nil
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.ExportDownload, Subject: d.id, After: map[string]any{"subject": string(d.subject), "size": d.size}})
	})
	if err != nil && f != nil {
		_ = f.Close()
	}
	return d, f, err
}

// denied is recorded; whoever fetches hears gone.
func denied() error {
	return fault.Denied("you may not have this file any more", "您已无权获取此文件")
}

// refuse answers with a problem (RFC 9457).
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	f, known := errors.AsType[*fault.Error](err)
	status := http.StatusNotFound
	switch {
	case known && f.Code == fault.Unavailable:
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "60")
	case known && (f.Code == fault.NotFound || f.Code == fault.Forbidden):
		f = gone()
	default:
		status = http.StatusInternalServerError
		f = fault.New(fault.Internal, "", fault.T("internal error", "内部错误"))
		slog.ErrorContext(r.Context(), "a download failed", "err", err)
	}
	actor := access.From(r.Context())
	b, err := json.Marshal(f.Problem(actor.Lang, status, actor.RequestID))
	if err != nil {
		panic(err) // words
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

type orZero struct{ into *int64 }

// Scan is sql.Scanner.
func (o orZero) Scan(v any) error {
	*o.into, _ = v.(int64)
	return nil
}

type orNever struct{ into *time.Time }

// Scan is sql.Scanner.
func (o orNever) Scan(v any) error {
	*o.into, _ = v.(time.Time)
	return nil
}
