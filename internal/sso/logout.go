package sso

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// logoutEvent is what makes a token a logout token (OpenID Connect Back-Channel Logout
// 1.0, §2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logout ends the sessions that the provider ended. 200 also where there are none; 400
// for a token that does not hold.
func (s *Service) logout(w http.ResponseWriter, r *http.Request, p *Provider) {
	ctx := r.Context()
	err := s.loggedOut(ctx, r.PostFormValue("logout_token"), p)
	if problem, told := errors.AsType[*refused](err); told {
		slog.InfoContext(ctx, "a back-channel logout was refused", "provider", p.ID, "why", problem.why)
		w.Header().Set("Content-Type", "application/json")
		status, code := http.StatusBadRequest, "invalid_request"
		if problem.code == errUnavailable {
			status, code = http.StatusServiceUnavailable, "temporarily_unavailable"
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": problem.why})
		return
	}
	if err != nil {
		s.broken(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (s *Service) loggedOut(ctx context.Context, raw string, p *Provider) error {
	if raw == "" || len(raw) > 64<<10 {
		return &refused{errRefused, "there is no logout_token"}
	}
	k, err := s.discover(ctx, p.Issuer)
	if err != nil {
		return &refused{errUnavailable, "the provider does not answer"}
	}
	away, cancel := context.WithTimeout(s.remote(ctx), patience)
	defer cancel()
	token, err := s.verify(away, raw, p, k)
	if bad, ok := errors.AsType[*refused](err); ok {
		slog.InfoContext(ctx, "a logout token does not hold", "provider", p.ID, "why", bad.why)
		return &refused{bad.code, "the token does not hold"} // why, anybody could ask
	}
	if err != nil {
		return err
	}
	var said struct {
		ID     string                     `json:"jti"`
		Sub    string                     `json:"sub"`
		SID    string                     `json:"sid"`
		Nonce  *json.RawMessage           `json:"nonce"`
		Events map[string]json.RawMessage `json:"events"`
	}
	now := s.DB.Now()
	switch err := token.Claims(&said); {
	case err != nil:
		return &refused{errRefused, "the token cannot be read"}
	case said.Events[logoutEvent] == nil:
		return &refused{errRefused, "the token says nothing of a logout"}
	case said.Nonce != nil:
		return &refused{errRefused, "a logout token has no nonce"}
	case said.ID == "" || len(said.ID) > maxText:
		return &refused{errRefused, "the token has no jti"}
	case said.Sub == "" && said.SID == "":
		return &refused{errRefused, "the token names neither sub nor sid"}
	case token.IssuedAt.After(now.Add(skew)) || token.IssuedAt.Before(now.Add(-identity.Proof)):
		return &refused{errRefused, "the token is too old, or from the future"}
	}
	by := identity.Voucher{Provider: p.ID, Session: sessionName(said.SID)}
	return s.DB.Tx(somebody(ctx, p.Corp), func(ctx context.Context, tx *store.Tx) error {
		if fresh, err := once(ctx, tx, "logout", p.ID, said.ID, now.Add(identity.Proof+2*skew)); err != nil || !fresh {
			if err == nil {
				err = &refused{errRefused, "the token has come before"}
			}
			return err
		}
		var member nid.ID
		if said.Sub != "" {
			var known bool
			var err error
			member, _, known, err = p.known(ctx, tx, said.Sub)
			if err != nil || !known {
				return err // nobody of ours
			}
		}
		ended, err := identity.EndVouched(ctx, tx, by, member)
		if err != nil || len(ended) == 0 {
			return err
		}
		return s.Log.Append(ctx, tx, identity.Ended(by, ended)...)
	})
}
