package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/turns"
)

// A browser keeps of a successful sign-in that it was one: 16 random bytes, a time and a
// signature that names corp and login. It lets nobody in and proves nobody's identity;
// whoever shows it for that login is counted apart from everybody else, five failures in
// 15 minutes (OWASP, "device cookies"). So somebody who guesses locks an account for
// strangers, and never for its member.
const (
	deviceLife  = 365 * 24 * time.Hour
	deviceBytes = 16 + 8
)

// remember makes what a browser keeps.
func (s *Service) remember(corp nid.ID, login string) string {
	if s.Devices == nil || login == "" {
		return ""
	}
	b := make([]byte, deviceBytes)
	_, _ = rand.Read(b[:16])                                                      // never fails (crypto/rand)
	binary.BigEndian.PutUint64(b[16:], uint64(s.DB.Now().Add(deviceLife).Unix())) // #nosec G115 -- after 1970
	return base64.RawURLEncoding.EncodeToString(append(b, s.Devices.Sign(deviceText(b, corp, login))...))
}

// known is the device that the request comes from, where the login has signed in at it
// before; else empty.
func (s *Service) known(ctx context.Context, corp nid.ID, login string) string {
	b, err := base64.RawURLEncoding.DecodeString(access.CookieFrom(ctx).Device())
	if err != nil || s.Devices == nil || len(b) <= deviceBytes || corp == Nowhere {
		return ""
	}
	if !s.Devices.Verify(deviceText(b[:deviceBytes], corp, login), b[deviceBytes:]) ||
		int64(binary.BigEndian.Uint64(b[16:])) < s.DB.Now().Unix() { // #nosec G115 -- signed by us
		return ""
	}
	return string(b[:16])
}

func deviceText(b []byte, corp nid.ID, login string) []byte {
	return append(append(append([]byte{}, b...), corp[:]...), login...)
}

// signing is the room of those who sign in by password: as many places as there are
// slots for hashes, and no longer a line than can be compared in time.
func (s *Service) signing() *turns.Room {
	s.once.Do(func() {
		if s.Room == nil {
			s.Room = &turns.Room{Running: 2, Waiting: 32, PerGuest: 8, Wait: 2 * time.Second}
		}
	})
	return s.Room
}

// enter takes a place in it. Turns go round the corps, unknown ones together, and round
// known devices; an address, this machine's too, has one place at a time.
func (s *Service) enter(ctx context.Context, corp nid.ID, device string) (leave func(), err error) {
	group, who := corp.String(), subscriber(access.From(ctx).Address)
	if device != "" {
		group, who = "devices of "+group, device
	}
	leave, err = s.signing().Enter(ctx, group, who)
	if errors.Is(err, turns.ErrFull) || errors.Is(err, turns.ErrShare) {
		err = secret.Busy()
	}
	return leave, err
}
