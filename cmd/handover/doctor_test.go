package main

import (
	"net/url"
	"testing"
)

func TestDoctorOnTheWayToTheServer(t *testing.T) {
	for raw, want := range map[string]string{
		"postgres://db.example.com/handover?sslmode=verify-full":   well,
		"postgres://db.example.com/handover?sslmode=verify-ca":     warn,
		"postgres://db.example.com/handover?sslmode=require":       warn,
		"postgres://db.example.com/handover?sslmode=disable":       warn,
		"postgres:///handover?host=db.example.com&sslmode=disable": warn,
		"postgres://192.0.2.7/handover?sslmode=disable":            warn,
		"postgres://127.0.0.1/handover":                            "",
		"postgres://[::1]/handover?sslmode=disable":                "",
		"postgres://localhost/handover?sslmode=disable":            "",
		"postgres:///handover?host=/var/run/postgresql":            "",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		var d doctor
		d.encryption(u)
		got := ""
		for _, f := range d.list {
			got = f.Grade
			if (f.Cure == "") != (f.Grade == well) {
				t.Errorf("%s: %+v", raw, f)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func TestDoctorOnDiskSpace(t *testing.T) {
	for bytes, want := range map[uint64]string{0: broken, noSpace - 1: broken, noSpace: warn, littleSpace - 1: warn, littleSpace: well} {
		var d doctor
		d.space("data", bytes)
		if len(d.list) != 1 || d.list[0].Grade != want {
			t.Errorf("%d bytes: %+v, want %s", bytes, d.list, want)
		}
	}
	if bytes, known := free(t.TempDir()); known && bytes == 0 {
		t.Error("nothing can be written where tests write")
	}
	if _, known := free("no such folder"); known {
		t.Error("a folder that is not there has space")
	}
}
