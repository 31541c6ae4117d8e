package detect

import (
	"strings"

	"github.com/openhandover/openhandover/internal/fault"
)

// reason is what an explanation is put together from.
type reason struct{ en, zh []string }

func because(en, zh string) reason { return reason{[]string{en}, []string{zh}} }

func (r reason) and(en, zh string) reason {
	return reason{append(r.en[:len(r.en):len(r.en)], en), append(r.zh[:len(r.zh):len(r.zh)], zh)}
}

func (r reason) text() fault.Text {
	en := strings.Join(r.en, ", ")
	return fault.Text{EN: strings.ToUpper(en[:1]) + en[1:] + ".", ZH: strings.Join(r.zh, "，") + "。"}
}
