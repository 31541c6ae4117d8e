package graph

import "testing"

func TestWhatCouldFindANumber(t *testing.T) {
	for text, want := range map[string]bool{
		"报价": false, "一起": false, "第一": false, "offer": false, "ten": false, "138": true, "１": true, "一三八": true, "3️⃣": true, "①": true, "壹叁": true, "一 三": true, "x1": true,
	} {
		if numeric(text) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}
