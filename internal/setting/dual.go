package setting

import (
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
)

// Off is that somebody wants dual control switched off.
type Off struct {
	siblings.Kin
	By       nid.ID
	LapsesAt time.Time
}

// switchOff sees to it that two switch dual control off, as two give what it guards: one
// asks, and it ends when another one saves the same within 72 hours. Switching it on
// takes back what was asked. wanted is what of the request holds now.
func (s *Settings) switchOff(wanted *bool, by nid.ID, now time.Time, before, after map[string]any) (*bool, error) {
	asked := s.DualControlOff
	if asked != nil && !now.Before(asked.LapsesAt) {
		asked = nil
	}
	switch {
	case wanted == nil || !*wanted && !s.DualControl:
		return wanted, nil
	case *wanted:
		if asked != nil {
			before["dualControlOff"], after["dualControlOff"] = asked.By, nil
		}
		s.DualControlOff = nil
		return wanted, nil
	case asked == nil:
		s.DualControlOff = &Off{By: by, LapsesAt: now.Add(identity.Patience)}
		before["dualControlOff"], after["dualControlOff"] = nil, by
		return nil, nil
	case asked.By == by:
		return nil, fault.Clash("input.dualControl", "you have asked for this already; another one has to save the same", "您已提出关闭申请,需由另一人保存相同的设置")
	}
	before["dualControlOff"], after["dualControlOff"] = asked.By, nil
	s.DualControlOff = nil
	return wanted, nil
}
