package handover

import (
	"errors"
	"fmt"
	"testing"

	"github.com/lib/pq"

	"github.com/openhandover/openhandover/internal/fault"
)

// Only what is wrong with a transfer itself may end it as FAILED.
func TestWhatPassesIsNobodysFault(t *testing.T) {
	for _, err := range []error{
		fault.Of(fault.Unavailable), fault.Of(fault.Timeout), fault.Clash("", "busy", "繁忙").Because(fmt.Errorf("chunk: %w", &pq.Error{Code: "55P03"})),
	} {
		if !passing(err) {
			t.Errorf("%v counts against the transfer", err)
		}
	}
	for _, err := range []error{errors.New("no such column"), fault.Clash("", "there is one", "已存在").Because(&pq.Error{Code: "23505"}), fault.Of(fault.Internal), fault.Missing("handover")} {
		if passing(err) {
			t.Errorf("%v is tried for ever", err)
		}
	}
}
