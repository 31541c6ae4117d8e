package backup_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/backup"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// lines opens a backup.
func lines(t testing.TB, file []byte, k age.Identity) []string {
	t.Helper()
	opened, err := age.Decrypt(bytes.NewReader(file), k)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(opened)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(b)))
}

// forge makes a file of lines: anybody can who knows the recipient, which is no secret.
func forge(t testing.TB, lines []string, k *age.X25519Identity) []byte {
	t.Helper()
	var b bytes.Buffer
	sealed, err := age.Encrypt(&b, k.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(sealed)
	if _, err := z.Write([]byte(strings.Join(lines, ""))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), sealed.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestForgedBackupsAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		c.Contacts(3, c.Member("lina", c.Root))
		key := newKey(t)
		file, _ := take(t, c, key)
		all := lines(t, file, key)
		at := func(begins string) int {
			i := slices.IndexFunc(all, func(l string) bool { return strings.HasPrefix(l, begins) })
			if i < 0 {
				t.Fatal("no line begins with ", begins)
			}
			return i
		}
		contacts := at(`{"table":"contacts"`)
		change := func(i int, from, to string) []string {
			out := slices.Clone(all)
			if out[i] = strings.Replace(out[i], from, to, 1); out[i] == all[i] {
				t.Fatalf("%q has no %q", all[i], from)
			}
			return out
		}
		back := empty[map[bool]string{true: "postgres", false: "sqlite"}[db.Postgres()]](t, clock)
		for name, f := range map[string]struct {
			lines []string
			says  string
		}{
			"something else":     {[]string{"{}\n"}, "no backup"},
			"nothing":            {nil, "no backup"},
			"another version":    {change(0, `"version":1`, `"version":2`), "version 2"},
			"no corp":            {change(0, c.ID.String(), nid.ID{}.String()), "no backup"},
			"another corp":       {change(0, c.ID.String(), nid.New(nid.Corp).String()), ""},
			"another table":      {change(contacts, `"contacts"`, `"contracts"`), "another version of this program"},
			"a table of others":  {change(contacts, `"contacts"`, `"sqlite_schema"`), "another version of this program"},
			"another column":     {change(contacts, `"company"`, `"id) SELECT 1; --"`), "another version of this program"},
			"another row":        {change(contacts+1, `"`, `"x`), "damaged"},
			"a value too few":    {change(contacts+1, `,`, ` `), "damaged"},
			"a row less":         {slices.Delete(slices.Clone(all), contacts+1, contacts+2), "damaged"},
			"a row twice":        {slices.Insert(slices.Clone(all), contacts+1, all[contacts+1]), ""},
			"no trailer":         {all[:len(all)-1], "damaged"},
			"a table less":       {slices.Concat(all[:contacts], all[contacts+5:]), "damaged"},
			"a table twice":      {slices.Concat(all[:contacts+5], all[contacts:]), ""},
			"another count":      {change(len(all)-2, `"rows":`, `"rows":1`), "damaged"},
			"something after it": {append(slices.Clone(all), "[]\n"), "damaged"},
		} {
			_, err := restore(t, back, c, forge(t, f.lines, key), key)
			if err == nil || !strings.Contains(err.Error(), f.says) {
				t.Errorf("%s: %v, want something with %q", name, err, f.says)
			}
			if f.says == "damaged" && !errors.Is(err, backup.ErrDamaged) {
				t.Errorf("%s: not ErrDamaged: %v", name, err)
			}
		}
		if corps, err := back.Corps(t.Context()); err != nil || len(corps) != 0 {
			t.Errorf("left behind: %v %v", corps, err)
		}
		if _, err := restore(t, back, c, forge(t, all, key), key); err != nil {
			t.Error("opened and closed again: ", err)
		}
	})
}
