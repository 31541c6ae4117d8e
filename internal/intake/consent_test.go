package intake_test

import (
	"testing"

	"github.com/openhandover/openhandover/internal/intake"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// Nothing is archived of a contact who has not agreed, alone or in a group; once
// they have, the same file brings what was left out. Consent can be withdrawn
// whoever looks after the contact.
func TestOnlyWhatWasAgreedToIsArchived(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ *storetest.Clock) {
		d := newDesk(t, db)
		c := acme()
		for i := range c.Contacts {
			c.Contacts[i].ChatConsent = [...]string{intake.Refused, intake.ConsentUnknown, ""}[i%3]
		}
		c.Messages = chat(
			intake.Message{MsgID: "m1", SentAt: since(3), Author: "cat", To: []string{"x1"}, Kind: "TEXT", Text: "to x1"},
			intake.Message{MsgID: "m2", SentAt: since(3), AuthorContact: "x2", To: []string{"dan"}, Kind: "TEXT", Text: "from x2"},
			intake.Message{MsgID: "m3", SentAt: since(3), AuthorContact: "x3", ChatID: "g1", Kind: "TEXT", Text: "x3 in a group"},
			intake.Message{MsgID: "m4", SentAt: since(3), Author: "cat", ChatID: "g1", Kind: "TEXT", Text: "a colleague in a group"},
		)
		const messages = `SELECT external_id FROM messages WHERE corp_id = $1 ORDER BY 1`
		d.load(c)
		d.want("messages", messages, "m4")
		for i := range c.Contacts {
			c.Contacts[i].ChatConsent = intake.Agreed
		}
		d.load(c) // x2 and x3 are a leaver's, and protected
		d.want("messages", messages, "m1", "m2", "m3", "m4")
		for i := range c.Contacts {
			c.Contacts[i].ChatConsent = intake.Refused
		}
		d.load(c)
		d.want("consents", `SELECT DISTINCT chat_consent FROM contacts WHERE corp_id = $1`, "REFUSED")
		d.want("messages", messages, "m1", "m2", "m3", "m4")
	})
}
