package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
)

func key(t *testing.T, text string) secret.Key {
	t.Helper()
	keys, err := secret.ParseKeys("secret-key", text)
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	return keys[0]
}

func TestKeysThatAreTakenAndThatAreNot(t *testing.T) {
	for name, text := range map[string]string{
		"made by us": secret.NewKey(), "128 bits in hex": "9f86d081884c7d659a2feaa0c55ad015",
		"openssl rand -base64 32": "q83kIfSj0dyBTQqeZ7v7RkNCLYcSFeUuVHq0Ug9vZ4Y=\n", "words": "stapler quartz onion 47 Villach umbrella",
	} {
		if keys, err := secret.ParseKeys("secret-key", text); err != nil || len(keys) != 1 {
			t.Errorf("%s was refused: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "blank": " \n\t\n", "short": "9f86d081884c7d659a2feaa0c55ad01", "one letter": strings.Repeat("x", 40),
		"few letters": "abcabdabcacbabcdbacbdabcabdabcacbd", "a piece over and over": strings.Repeat("0123456789ab", 4),
		"placeholder": "ChangeMe-9f86d081884c7d659a2feaa0c55ad015", "demo": "openhandover demo key, published, for trying out only",
		"second line bad": secret.NewKey() + "\nshort",
	} {
		keys, err := secret.ParseKeys("secret-key", text)
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != fault.Invalid || f.Field != "secret-key" || f.Text.ZH == "" || keys != nil {
			t.Errorf("%s: %v, %v", name, keys, err)
		}
		if text := strings.TrimSpace(text); text != "" && err != nil && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func TestAKeyNeverShowsItself(t *testing.T) {
	text := secret.NewKey()
	k := key(t, text)
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", k, "keys", []secret.Key{k})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", k, "held", struct{ K secret.Key }{k})
	fmt.Fprintf(&out, "%v %+v %#v %s %q %v", k, k, k, k, k, &k)
	if err := json.NewEncoder(&out).Encode(map[string]any{"k": k}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), text) {
		t.Fatalf("the key is in %s", out.String())
	}
	if !strings.Contains(out.String(), k.ID()) {
		t.Fatalf("the key's id is not in %s", out.String())
	}
}

func TestABoxOpensOnlyWhatBelongsThere(t *testing.T) {
	k := key(t, secret.NewKey())
	box, err := secret.NewBox(secret.ForTOTP, k)
	if err != nil {
		t.Fatal(err)
	}
	subjects, err := secret.NewBox(secret.ForSubjects, k)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "plain")
		row := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "row")
		sealed := box.Seal(plain, row)
		got, err := box.Open(sealed, row)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("opened %x, %v", got, err)
		}
		if bytes.Equal(box.Seal(plain, row), sealed) {
			t.Fatal("sealing twice gave the same bytes")
		}
		if _, err := box.Open(sealed, append([]byte{0}, row...)); !errors.Is(err, secret.ErrTampered) {
			t.Fatalf("another row: %v", err)
		}
		if _, err := subjects.Open(sealed, row); !errors.Is(err, secret.ErrTampered) {
			t.Fatalf("another purpose: %v", err)
		}
		bit := rapid.IntRange(0, len(sealed)*8-1).Draw(t, "bit")
		bad := bytes.Clone(sealed)
		bad[bit/8] ^= 1 << (bit % 8)
		if got, err := box.Open(bad, row); err == nil {
			t.Fatalf("with bit %d flipped it opened to %x", bit, got)
		}
		cut := rapid.IntRange(0, len(sealed)-1).Draw(t, "cut")
		if got, err := box.Open(sealed[:cut], row); err == nil {
			t.Fatalf("cut to %d bytes it opened to %x", cut, got)
		}
	})
}

func TestRotation(t *testing.T) {
	oldText, newText := secret.NewKey(), secret.NewKey()
	before, err := secret.NewBox(secret.ForTOTP, key(t, oldText))
	if err != nil {
		t.Fatal(err)
	}
	sealed := before.Seal([]byte("seed"), []byte("row"))
	keys, err := secret.ParseKeys("secret-key", newText+"\n\n"+oldText+"\n")
	if err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	after, err := secret.NewBox(secret.ForTOTP, keys...)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.Open(sealed, []byte("row")); err != nil || string(got) != "seed" {
		t.Fatalf("%q, %v", got, err)
	}
	if after.Current(sealed) || !after.Current(after.Seal(nil, nil)) || after.Current(nil) {
		t.Fatal("Current does not tell old from new")
	}
	alone, err := secret.NewBox(secret.ForTOTP, key(t, newText))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alone.Open(sealed, []byte("row")); !errors.Is(err, secret.ErrUnknownKey) {
		t.Fatalf("without the old key: %v", err)
	}
}

func TestNoBoxWithoutAKey(t *testing.T) {
	for name, keys := range map[string][]secret.Key{"none": nil, "zero": {{}}, "second zero": {secret.DemoKey(), {}}} {
		if _, err := secret.NewBox(secret.ForTOTP, keys...); err == nil {
			t.Errorf("%s: a box was made", name)
		}
	}
	if _, err := secret.NewBox("", secret.DemoKey()); err == nil {
		t.Error("a box for nothing was made")
	}
}
