package secret

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/fault"
)

// From the test program of the argon2 reference implementation.
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestReferenceVector(t *testing.T) {
	if ok, err := VerifyPassword(t.Context(), reference, "password"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, err := VerifyPassword(t.Context(), reference, "Password"); ok || err != nil {
		t.Fatal(ok, err)
	}
}

func TestHashesVerifyAndDiffer(t *testing.T) {
	const password = "crème brûlée\u3000和茶" // ideographic space
	a, err := HashPassword(t.Context(), password, Cheap)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := HashPassword(t.Context(), password, Cheap)
	if a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatal(a, b)
	}
	for typed, want := range map[string]bool{
		password: true, "cre\u0300me bru\u0302le\u0301e 和茶": true, "creme brulee 和茶": false, password + " ": false, "": false,
		strings.Repeat("x", maxBytes+1): false,
	} {
		if ok, err := VerifyPassword(t.Context(), a, typed); ok != want || err != nil {
			t.Errorf("%.20q: %v, %v", typed, ok, err)
		}
	}
	if NeedsRehash(a, Cheap) || !NeedsRehash(a, Standard) {
		t.Error("NeedsRehash does not compare parameters")
	}
	if _, err := HashPassword(t.Context(), strings.Repeat("x", maxBytes+1), Cheap); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
}

func TestDamagedHashesAreNoPasswordOfAnybody(t *testing.T) {
	for name, stored := range map[string]string{
		"empty": "", "bcrypt": "$2a$10$abcdefghijklmnopqrstuv", "argon2i": strings.Replace(reference, "argon2id", "argon2i", 1),
		"old version": strings.Replace(reference, "v=19", "v=16", 1), "no passes": strings.Replace(reference, "t=2", "t=0", 1),
		"no threads": strings.Replace(reference, "p=1", "p=0", 1), "4 GiB": strings.Replace(reference, "m=65536", "m=4194303", 1),
		"endless": strings.Replace(reference, "t=2", "t=4000000000", 1), "other spelling": strings.Replace(reference, "t=2", "t=02", 1),
		"more": reference + "$x", "padded": reference + "=", "no hash": reference[:strings.LastIndex(reference, "$")+1],
		"short salt": strings.Replace(reference, "c29tZXNhbHQ", "c29t", 1), "parameters with a tail": strings.Replace(reference, "p=1", "p=1,x=2", 1),
	} {
		if ok, err := VerifyPassword(t.Context(), stored, "password"); ok || !errors.Is(err, ErrBadHash) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

func TestOnlyTwoAtATimeAndNobodyWaitsBeyondTheRequest(t *testing.T) {
	stored, err := HashPassword(t.Context(), "a good long password", Cheap)
	if err != nil {
		t.Fatal(err)
	}
	if cap(slots) != 2 {
		t.Fatalf("%d at a time", cap(slots))
	}
	slots <- struct{}{}
	slots <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error)
	for _, try := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := VerifyPassword(ctx, stored, "x"); return err },
		func(ctx context.Context) error { _, err := HashPassword(ctx, "x", Cheap); return err },
		func(ctx context.Context) error { return VerifyNobody(ctx, "x", Cheap) },
	} {
		go func() { results <- try(ctx) }()
	}
	cancel()
	for range 3 {
		if err := <-results; fault.CodeOf(err) != fault.Timeout || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	waiting := make(chan bool)
	go func() { ok, _ := VerifyPassword(t.Context(), stored, "a good long password"); waiting <- ok }()
	<-slots
	if !<-waiting {
		t.Error("the one that waited did not get its turn")
	}
	<-slots
	if len(slots) != 0 {
		t.Errorf("%d slots were not given back", len(slots))
	}
	if err := VerifyNobody(ctx, "x", Cheap); fault.CodeOf(err) != fault.Timeout {
		t.Errorf("a request that has ended took a slot: %v", err)
	}
}

// The time itself is not measured: both run the one function on the same amount
// of memory and passes, which allocation shows without a clock.
func TestNobodyCostsAsMuchAsSomebody(t *testing.T) {
	p := Params{Memory: 4096, Time: 1, Threads: 1}
	stored, err := HashPassword(t.Context(), "a good long password", p)
	if err != nil {
		t.Fatal(err)
	}
	bytesOf := func(f func()) int64 {
		return testing.Benchmark(func(b *testing.B) {
			for range b.N {
				f()
			}
		}).AllocedBytesPerOp()
	}
	somebody := bytesOf(func() { _, _ = VerifyPassword(t.Context(), stored, "wrong") })
	nobody := bytesOf(func() { _ = VerifyNobody(t.Context(), "wrong", p) })
	if somebody < 4096*1024 || nobody < somebody*98/100 || nobody > somebody*102/100 {
		t.Fatalf("somebody takes %d bytes, nobody %d", somebody, nobody)
	}
}

func TestPasswordRule(t *testing.T) {
	for name, c := range map[string]struct {
		login, password string
		demo            bool
		want            string // part of the English sentence; empty: taken
	}{
		"long and odd":            {"li.na", "quartz onion umbrella", false, ""},
		"Chinese, 12 characters":  {"li.na", "春眠不觉晓处处闻啼鸟夜来", false, ""},
		"word inside":             {"li.na", "my password is 7 onions", false, ""},
		"empty":                   {"li.na", "", false, "is needed"},
		"broken text":             {"li.na", "quartz onion \xff", false, "is needed"},
		"11 characters":           {"li.na", "quartz onio", false, "at least 12"},
		"11 Chinese characters":   {"li.na", "春眠不觉晓处处闻啼鸟夜", false, "at least 12"},
		"257 characters":          {"li.na", strings.Repeat("quartz on", 29)[:257], false, "at most 256"},
		"login":                   {"li.na@example.com", "Li.Na@Example.com", false, "must not be the login"},
		"common run":              {"li.na", "1qaz2wsx3edc", false, "first to be guessed"},
		"common word, dressed":    {"li.na", "Password2024!", false, "first to be guessed"},
		"common Chinese, dressed": {"li.na", "我爱你1314520520", false, "first to be guessed"},
		"four characters only":    {"li.na", "abababcdcdcd", false, "first to be guessed"},
		"demo password outside":   {"admin", "handover-demo", false, "first to be guessed"},
		"demo password in demo":   {"admin", "handover-demo", true, ""},
		"short in demo":           {"admin", "x", true, ""},
		"login in demo":           {"admin", "ADMIN", true, "must not be the login"},
		"empty in demo":           {"admin", "", true, "is needed"},
	} {
		err := CheckPassword("input.password", c.login, c.password, c.demo)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != fault.Invalid || f.Field != "input.password" || f.Text.ZH == "" || !strings.Contains(f.Text.EN, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheListIsInTheFormThatIsLookedUp(t *testing.T) {
	if len(common) < 100 {
		t.Fatalf("only %d words", len(common))
	}
	for w := range common {
		if w != strings.ToLower(normal(w)) {
			t.Errorf("%q can never be found", w)
		}
	}
}
