package detect

import (
	"slices"
	"strings"
)

// invites finds phrases that ask a customer to another account, with or without the
// account itself: 加我另一个号, add me on my personal WhatsApp.
func (r *reading) invites() {
	last := -1
	for _, w := range r.words {
		if w.tag&(tAdd|tReach|tMove|tOwn|tPrivate|tSecret|tLater) == 0 || w.at < last || r.full(Invite) {
			continue
		}
		reach := 26
		if letter(r.text.r[w.at]) {
			reach = 60 // Latin words take more room
		}
		begin, end := r.clause(w.at, w.to, reach)
		ws := r.near(begin, end)
		score, why := r.invite(ws, begin, end)
		if score < Worth {
			continue
		}
		if r.m.FromContact {
			score *= 0.8
		}
		r.found(Invite, score, w.at, ws[len(ws)-1].to, why.text())
		last = end
	}
}

// invite judges the words of one sentence, runes [begin, end).
func (r *reading) invite(ws []word, begin, end int) (float64, reason) {
	t := tags(ws)
	account := t&(tWeChat|tQQ|tApp|tAccount|tPhone|tScan|tCard|tMail) != 0
	messenger := t&(tWeChat|tQQ|tApp) != 0
	me := addsMe(r, ws)
	leaves := tags(r.near(max(0, begin-60), min(len(r.text.r), end+60)))&tLeave != 0
	if t&tNot != 0 && r.refused(ws) || t&tCorp != 0 && t&(tPrivate|tSecret) == 0 && !leaves {
		return 0, reason{}
	}
	if r.m.FromContact && t&tYours == 0 && !speaksTo(r, ws) {
		return 0, reason{} // the customer's own new number
	}
	var score float64
	var why reason
	switch {
	case t&tAdd != 0 && t&tPrivate != 0 && (account || me):
		score, why = 0.9, because("the customer is asked to add a private or other account", "请客户添加私人或其他账号")
	case r.m.FromContact && t&tYours != 0 && t&tPrivate != 0 && account:
		score, why = 0.75, because("the customer speaks of the member's private account", "客户提到该成员的私人账号")
	case t&tMove != 0 && (messenger || t&(tPrivate|tSecret|tAdd|tReach|tAccount) != 0):
		score, why = 0.75, because("the customer is asked to talk elsewhere", "请客户换到其他渠道沟通")
	case t&tSecret != 0 && (messenger || t&tPrivate != 0 && account) && t&(tAdd|tReach|tOwn|tMove|tPrivate) != 0:
		score, why = 0.8, because("an account outside is offered together with secrecy or a better price", "以保密或优惠为由提供其他账号")
	case t&tReach != 0 && t&tPrivate != 0 && account:
		score, why = 0.8, because("the customer is asked to use a private or other account", "请客户使用私人或其他账号联系")
	case t&tOwn != 0 && t&tPrivate != 0 && account:
		score, why = 0.7, because("a private or other account is named", "提到自己的私人或其他账号")
	case t&tAdd != 0 && messenger && (me || t&tOwn != 0):
		score, why = 0.65, because("the customer is asked to add an account", "请客户添加其他账号")
	case t&tReach != 0 && t&tLater != 0 && (messenger || t&tAccount != 0):
		score, why = 0.7, because("the customer is asked to use another account from now on", "请客户今后改用其他账号联系")
	case t&tAdd != 0 && messenger:
		score, why = 0.55, because("the customer is asked to add an account", "请客户添加其他账号")
	case leaves && (messenger || t&tAccount != 0) && t&(tReach|tAdd|tOwn|tLater) != 0:
		score, why = 0.6, because("an account is named beside words about leaving", "在提到离职的同时给出账号")
	case leaves && t&(tReach|tAdd) != 0 && t&tOwn != 0:
		score, why = 0.5, because("the customer is asked to follow somebody who leaves", "请客户在其离职后继续联系")
	default:
		return 0, reason{}
	}
	if leaves {
		score += 0.1
		why = why.and("with words about leaving", "并提到离职")
	}
	if t&tLater != 0 {
		score += 0.05
	}
	if t&tCorp != 0 && !leaves && t&tSecret == 0 && t&tOwn == 0 && !me {
		score -= 0.3
	}
	if t&tYours != 0 && !me && !leaves && t&(tOwn|tPrivate|tMove) == 0 && !slices.ContainsFunc(ws, asks) {
		score -= 0.2
	}
	return score, why
}

// refused reports a "do not" that stands close before what it forbids.
func (r *reading) refused(ws []word) bool {
	for i, w := range ws {
		if w.tag&tNot == 0 {
			continue
		}
		for _, v := range ws[i:] {
			if v.at-w.to <= 12 && v.tag&(tAdd|tReach|tPrivate|tWeChat|tQQ|tApp|tMove) != 0 {
				return true
			}
		}
	}
	return false
}

// speaksTo reports words that ask to add the one spoken to: 我加你.
func speaksTo(r *reading, ws []word) bool {
	for _, w := range ws {
		if w.tag&tAdd != 0 && strings.ContainsAny(string(r.text.r[w.at:w.to]), "你您yu") {
			return true
		}
	}
	return false
}

// asks reports one word for both adding and where: 加Q.
func asks(w word) bool { return w.tag&tAdd != 0 && w.tag&(tWeChat|tQQ) != 0 }
