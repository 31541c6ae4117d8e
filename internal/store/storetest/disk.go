package storetest

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Disk watches what SQLite does to the files of one folder, and knows of each what a
// power cut must leave (what was synced) and what it may leave (the rest). It stands
// between SQLite and SQLite's own way to the operating system, so it sees the program's
// real reads, writes and syncs.
type Disk struct {
	folder string
	before func(*Disk)

	mu    sync.Mutex
	files map[string]*diskFile
}

// diskFile is one file. While synced is nil a power cut may leave no such file.
type diskFile struct {
	synced  []byte
	waiting []diskOp
}

// diskOp is a write at an offset, or the file's end set there, or its removal.
type diskOp struct {
	at            int64
	data          []byte
	cut, unlinked bool
}

// sector is the unit that a disk writes wholly or not at all.
const sector = 512

func (o diskOp) apply(to []byte, rnd *rand.Rand) []byte {
	switch {
	case o.unlinked:
		return nil
	case o.cut:
		return resized(to, o.at)
	}
	for i := 0; i < len(o.data); i += sector {
		if rnd != nil && rnd.IntN(2) == 0 { // this sector did not make it
			continue
		}
		part := o.data[i:min(i+sector, len(o.data))]
		to = resized(to, max(int64(len(to)), o.at+int64(i+len(part))))
		copy(to[o.at+int64(i):], part)
	}
	return to
}

func resized(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n]
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

// Watch begins with the files of a folder as they are. before is called before each write,
// truncation, sync and removal takes effect, and may take a Cut.
func Watch(folder string, before func(*Disk)) (*Disk, error) {
	d := &Disk{folder: folder, before: before, files: map[string]*diskFile{}}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		d.files[e.Name()] = &diskFile{synced: b}
	}
	if err := intercept(); err != nil {
		return nil, err
	}
	watched.Store(folder, d)
	return d, nil
}

// End ends watching.
func (d *Disk) End() { watched.Delete(d.folder) }

// Now calls fn between two of the things that happen to the files.
func (d *Disk) Now(fn func()) { d.mu.Lock(); defer d.mu.Unlock(); fn() }

// Unsynced is how many bytes a power cut could lose.
func (d *Disk) Unsynced() (n int) {
	for _, f := range d.files {
		for _, o := range f.waiting {
			n += len(o.data)
		}
	}
	return n
}

// Cut gives the files as a power cut may leave them now: of what was not synced, each
// write wholly, in part or not at all, in any combination.
func (d *Disk) Cut(rnd *rand.Rand) map[string][]byte {
	out := map[string][]byte{}
	for name, f := range d.files {
		b := append([]byte(nil), f.synced...)
		there := f.synced != nil
		for _, o := range f.waiting {
			switch rnd.IntN(3) {
			case 0:
				continue
			case 1:
				b = o.apply(b, nil)
			default:
				b = o.apply(b, rnd)
			}
			there = !o.unlinked
		}
		if there {
			out[name] = b
		}
	}
	return out
}

// happens notes what SQLite is about to do to a file.
func (d *Disk) happens(name string, o diskOp) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before(d)
	f := d.files[name]
	if f == nil {
		f = &diskFile{}
		d.files[name] = f
	}
	f.waiting = append(f.waiting, o)
}

func (d *Disk) sync(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before(d)
	f := d.files[name]
	if f == nil {
		return
	}
	if f.synced == nil {
		f.synced = []byte{}
	}
	for _, o := range f.waiting {
		f.synced = o.apply(f.synced, nil)
	}
	f.waiting = nil
}

// watched are the disks, by folder; of is where SQLite's open files belong.
var watched, of sync.Map

// find gives the disk that a path is on, and the file's name there.
func find(path string) (*Disk, string) {
	d, ok := watched.Load(filepath.Dir(path))
	if !ok || path == "" || strings.HasSuffix(path, "-shm") { // shared memory is made anew by recovery
		return nil, ""
	}
	return d.(*Disk), filepath.Base(path)
}

type openFile struct {
	d    *Disk
	name string
}

// intercept makes SQLite ask us first, once for the whole process.
var intercept = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	theirs = *at[sqlite3.Tsqlite3_vfs](sqlite3.Xsqlite3_vfs_find(tls, 0))
	vfs, err := copied(tls, theirs)
	if err != nil {
		return err
	}
	name, err := libc.CString("watched")
	if err != nil {
		return err
	}
	ours := at[sqlite3.Tsqlite3_vfs](vfs)
	ours.FzName, ours.FpNext = name, 0
	ours.FxOpen, ours.FxDelete = pointer(xOpen), pointer(xDelete)
	sqlite3.Xsqlite3_vfs_register(tls, vfs, 1)
	return nil
})

var (
	theirs  sqlite3.Tsqlite3_vfs
	methods sync.Map // SQLite's methods of a file → *ioMethods
)

// ioMethods are SQLite's own methods of a file, and where ours are.
type ioMethods struct {
	theirs sqlite3.Tsqlite3_io_methods
	ours   uintptr
}

func xOpen(tls *libc.TLS, vfs, path, file uintptr, flags int32, out uintptr) int32 {
	rc := call[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](theirs.FxOpen)(tls, vfs, path, file, flags, out)
	if rc != sqlite3.SQLITE_OK || path == 0 {
		return rc
	}
	d, name := find(libc.GoString(path))
	if d == nil {
		return rc
	}
	f := at[sqlite3.Tsqlite3_file](file)
	m, known := methods.Load(f.FpMethods)
	if !known {
		had := *at[sqlite3.Tsqlite3_io_methods](f.FpMethods)
		own := had
		own.FxWrite, own.FxTruncate, own.FxSync, own.FxClose = pointer(xWrite), pointer(xTruncate), pointer(xSync), pointer(xClose)
		ours, err := copied(tls, own)
		if err != nil {
			return sqlite3.SQLITE_NOMEM
		}
		m, _ = methods.LoadOrStore(f.FpMethods, &ioMethods{had, ours})
	}
	of.Store(file, openFile{d, name})
	f.FpMethods = m.(*ioMethods).ours
	return rc
}

func xDelete(tls *libc.TLS, vfs, path uintptr, syncDir int32) int32 {
	if d, name := find(libc.GoString(path)); d != nil {
		d.happens(name, diskOp{unlinked: true})
		if syncDir != 0 {
			d.sync(name)
		}
	}
	return call[func(*libc.TLS, uintptr, uintptr, int32) int32](theirs.FxDelete)(tls, vfs, path, syncDir)
}

// known gives what an open file is, and SQLite's own methods of it.
func known(file uintptr) (openFile, *sqlite3.Tsqlite3_io_methods) {
	v, _ := of.Load(file)
	var own *sqlite3.Tsqlite3_io_methods
	methods.Range(func(_, m any) bool {
		if m.(*ioMethods).ours == at[sqlite3.Tsqlite3_file](file).FpMethods {
			own = &m.(*ioMethods).theirs
		}
		return own == nil
	})
	return v.(openFile), own
}

func xWrite(tls *libc.TLS, file, data uintptr, n int32, offset sqlite3.Tsqlite3_int64) int32 {
	f, own := known(file)
	f.d.happens(f.name, diskOp{at: offset, data: append([]byte(nil), unsafe.Slice(at[byte](data), int(n))...)})
	return call[func(*libc.TLS, uintptr, uintptr, int32, sqlite3.Tsqlite3_int64) int32](own.FxWrite)(tls, file, data, n, offset)
}

func xTruncate(tls *libc.TLS, file uintptr, size sqlite3.Tsqlite3_int64) int32 {
	f, own := known(file)
	f.d.happens(f.name, diskOp{at: size, cut: true})
	return call[func(*libc.TLS, uintptr, sqlite3.Tsqlite3_int64) int32](own.FxTruncate)(tls, file, size)
}

func xSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	f, own := known(file)
	rc := call[func(*libc.TLS, uintptr, int32) int32](own.FxSync)(tls, file, flags)
	if rc == sqlite3.SQLITE_OK {
		f.d.sync(f.name)
	}
	return rc
}

func xClose(tls *libc.TLS, file uintptr) int32 {
	_, own := known(file)
	of.Delete(file)
	return call[func(*libc.TLS, uintptr) int32](own.FxClose)(tls, file)
}

// SQLite is C that was translated to Go: its pointers are numbers, its functions
// pointers to Go's. These cross over.

// copied puts a copy of v where SQLite's own memory is, outside of Go's, which must not be
// reached by numbers. It stays there to the end of the process.
func copied[T any](tls *libc.TLS, v T) (uintptr, error) {
	p := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(v)))
	if p == 0 {
		return 0, errors.New("storetest: no memory")
	}
	*at[T](p) = v
	return p, nil
}

func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

func call[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }
