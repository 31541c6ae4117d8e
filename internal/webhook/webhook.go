// Package webhook tells other programs what happened: it keeps their addresses and
// sends them what package notify wrote, signed after the Standard Webhooks
// specification 1.0.0 (standardwebhooks.com).
//
// A delivery is WAITING until it is DELIVERED or FAILED. Who sends one claims it
// in a short transaction that moves its next_at a minute ahead, sends outside any
// transaction, and records the answer in another. A worker that dies in between
// leaves a delivery that is due again a minute later: every message is sent at
// least once, and its webhook-id tells the receiver which it has seen already.
package webhook

import (
	"context"
	"net/http"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Service holds the use cases and the work.
type Service struct {
	DB  *store.DB
	Log *audit.Log
	// Box seals signing secrets; it is the secret.ForWebhooks box.
	Box *secret.Box
	// Client sends; see NewClient.
	Client *http.Client
	// AllowPrivate lets webhooks be in private networks and, on this machine, without
	// TLS. The client has to be made with it too.
	AllowPrivate bool
}

// State is where a delivery stands.
type State string

// The states.
const (
	Waiting   State = "WAITING"
	Delivered State = "DELIVERED"
	Failed    State = "FAILED"
)

// Problem says why a delivery was not taken. The receiver's answer is not kept.
type Problem string

// The problems.
const (
	NoAnswer   Problem = "NO_ANSWER"  // not in time
	NoAddress  Problem = "NO_ADDRESS" // the name leads nowhere, or to where webhooks may not be
	NoContact  Problem = "NO_CONTACT" // refused, broken off
	NoTrust    Problem = "NO_TRUST"   // TLS could not be agreed on
	BadStatus  Problem = "STATUS"     // an answer other than 2xx
	Redirected Problem = "REDIRECTED" // 3xx; nobody follows it
	Gone       Problem = "GONE"       // 410: the webhook was switched off for it
	Off        Problem = "OFF"        // the webhook was off or deleted when it was due
	Unsignable Problem = "UNSIGNABLE" // the secret key that sealed the signing secret is not configured
)

// Problems lists all of them.
var Problems = []Problem{NoAnswer, NoAddress, NoContact, NoTrust, BadStatus, Redirected, Gone, Off, Unsignable}

// manager demands MANAGE_CONNECTOR in the whole corp: a webhook tells of all of it.
func manager(actor *access.Actor) error {
	if actor.Scope(access.ManageConnector).All {
		return nil
	}
	return fault.Denied("you may not manage webhooks", "您无权管理 Webhook")
}

// place ties a sealed secret to its row.
func place(corp, hook nid.ID) []byte { return append(corp[:], hook[:]...) }

// drop gives up what is still to be sent to a webhook.
func drop(ctx context.Context, tx *store.Tx, hook nid.ID) error {
	_, err := tx.Keep(ctx, "webhook_deliveries", `UPDATE webhook_deliveries SET state = 'FAILED', problem = $3, finished_at = $4, next_at = NULL
		WHERE corp_id = $1 AND webhook_id = $2 AND state = 'WAITING'`, tx.Corp(), hook, string(Off), tx.Now())
	return err
}
