package secret_test

import (
	"bytes"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
	"rsc.io/qr"

	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
)

var rfcSecret = []byte("12345678901234567890")

func TestVectorsOfRFC4226(t *testing.T) {
	for step, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := secret.Code(rfcSecret, int64(step)); got != want {
			t.Errorf("step %d: %s, want %s", step, got, want)
		}
	}
}

// RFC 6238 appendix B, SHA-1. It prints eight digits, of which ours are the last six.
func TestVectorsOfRFC6238(t *testing.T) {
	for unix, want := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		at := time.Unix(unix, 0)
		if got := secret.Code(rfcSecret, secret.Step(at)); got != want[2:] {
			t.Errorf("at %d: %s, want %s", unix, got, want[2:])
		}
		if step, ok := secret.VerifyTOTP(rfcSecret, want[2:], at); !ok || step != unix/30 {
			t.Errorf("at %d: step %d, %v", unix, step, ok)
		}
	}
}

func TestOneStepEitherWayAndNoMore(t *testing.T) {
	at := time.Unix(1234567890, 0)
	now := secret.Step(at)
	for off := int64(-4); off <= 4; off++ {
		step, ok := secret.VerifyTOTP(rfcSecret, secret.Code(rfcSecret, now+off), at)
		if want := off >= -1 && off <= 1; ok != want || ok && step != now+off {
			t.Errorf("%+d steps: step %d, %v", off, step-now, ok)
		}
	}
	good := secret.Code(rfcSecret, now)
	if _, ok := secret.VerifyTOTP(rfcSecret, good[:3]+" "+good[3:], at); !ok {
		t.Error("a space between the digits is refused")
	}
	for _, bad := range []string{"", good[:5], good + "0", "0" + good, strings.Repeat(" ", 6), "+" + good[1:], good + "\n"} {
		if _, ok := secret.VerifyTOTP(rfcSecret, bad, at); ok {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, ok := secret.VerifyTOTP([]byte("another secret of ours"), good, at); ok {
		t.Error("another secret takes the code")
	}
}

// Were the earlier of two equal codes named, a replay could name the later one.
func TestOfTwoStepsWithOneCodeTheLaterServes(t *testing.T) {
	var seed []byte
	var at time.Time
	for n := int64(1); ; n++ { // about a million tries
		if secret.Code(rfcSecret, n) == secret.Code(rfcSecret, n+2) {
			seed, at = rfcSecret, time.Unix((n+1)*30, 0)
			break
		}
	}
	now := secret.Step(at)
	if step, ok := secret.VerifyTOTP(seed, secret.Code(seed, now-1), at); !ok || step != now+1 {
		t.Fatalf("step %+d, %v", step-now, ok)
	}
}

func TestEnrolmentURI(t *testing.T) {
	got := secret.TOTPURI("Open Handover", "李 na:x@example.com&a=b+c", rfcSecret)
	want := "otpauth://totp/Open%20Handover:%E6%9D%8E%20na%3Ax@example.com%26a%3Db%2Bc" +
		"?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Open%20Handover&algorithm=SHA1&digits=6&period=30"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	u, err := url.Parse(got)
	if err != nil || u.Query().Get("issuer") != "Open Handover" || u.Path != "/Open Handover:李 na:x@example.com&a=b+c" {
		t.Errorf("a client reads %q %q, %v", u.Path, u.Query(), err)
	}
	if n := len(secret.NewTOTPSecret()); n != 20 || bytes.Equal(secret.NewTOTPSecret(), secret.NewTOTPSecret()) {
		t.Error("the secret is not 160 random bits")
	}
}

func TestTokens(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		for _, kind := range []secret.TokenKind{secret.Session, secret.Service} {
			corp := nid.New(nid.Corp)
			token := secret.NewToken(kind, corp)
			if got, of, ok := secret.ParseToken(token); got != kind || of != corp || !ok || seen[token] || !strings.HasPrefix(token, string(kind)) {
				t.Fatalf("%s: %s, %v", token, got, ok)
			}
			seen[token] = true
		}
	}
	good := secret.NewToken(secret.Session, nid.New(nid.Corp))
	cut := len(good) - 1
	for name, bad := range map[string]string{
		"empty": "", "short": good[:cut], "long": good + "A", "another prefix": "hok_" + good[4:], "no prefix": good[4:] + "AAAA",
		"standard base64": good[:31] + "+" + good[32:], "line break": good[:cut] + "\n", "bits left over": good[:cut] + "B",
		"no corp": "hos_" + good[31:], "another thing's id": "hos_" + nid.New(nid.Member).String()[4:] + good[30:], "another divider": good[:30] + "-" + good[31:],
	} {
		if kind, ok := secret.KindOf(bad); ok {
			t.Errorf("%s: %q is taken for %s", name, bad, kind)
		}
	}
	// FIPS 180-2 appendix B.1.
	if got := hex.EncodeToString(secret.Hash("abc")); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Error(got)
	}
}

func TestQRShowsEveryModuleAndItsMargin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(1, 60, 200).Draw(t, "text")
		code, err := qr.Encode(text, qr.L)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := secret.QR(text, false)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(plain, "\n"), "\n")
		for y, line := range lines {
			for x, r := range []rune(line) {
				for half, light := range []bool{r == '█' || r == '▀', r == '█' || r == '▄'} {
					if code.Black(x-4, y*2+half-4) == light {
						t.Fatalf("module %d,%d is wrong", x-4, y*2+half-4)
					}
				}
			}
			if n := len([]rune(line)); n != code.Size+8 {
				t.Fatalf("line %d has %d modules for %d", y, n, code.Size)
			}
		}
		if len(lines) != (code.Size+9)/2 {
			t.Fatalf("%d lines for %d modules", len(lines), code.Size)
		}
		coloured, _ := secret.QR(text, true)
		if strings.NewReplacer("\x1b[97;40m", "", "\x1b[0m", "").Replace(coloured) != plain || strings.Count(coloured, "\x1b[0m\n") != len(lines) {
			t.Fatal("colour changes the picture")
		}
	})
	if _, err := secret.QR(strings.Repeat("x", 3000), false); err == nil {
		t.Error("3000 characters fitted")
	}
}
