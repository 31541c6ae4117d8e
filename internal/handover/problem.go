package handover

import (
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
)

// complete refuses a plan in which something has no successor.
func (p *planned) complete(field string) error {
	p.mark()
	for _, b := range p.problems() {
		if b.Reason == NoSuccessor {
			return fault.New(fault.Limit, field+".successors", b.Reason.Text()).With("reason", string(b.Reason)).With("items", b.Items)
		}
	}
	return nil
}

// Problem is something wrong with part of a plan, the same for all its items.
type Problem struct {
	Reason    Reason
	Text      fault.Text
	Blocking  bool
	Items     int
	Successor nid.ID // zero: not about one
	Kind      ItemKind
	// ExecutableFrom is when a LEAVER_STATUS ends; nil: not known.
	ExecutableFrom *time.Time
}

// mark looks for what stands in the way of each item.
func (p *planned) mark() {
	taken := map[nid.ID]int{}
	for i := range p.Items {
		it := &p.Items[i]
		to := p.People[it.To]
		switch it.trouble = ""; {
		case it.Busy:
			it.trouble = InProgress
		case it.To.IsZero():
			it.trouble = NoSuccessor
		case to.unfit() != "":
			it.trouble = to.unfit()
		case it.Kind == Contact && !it.Merged:
			if taken[it.To]++; taken[it.To] > to.free() {
				it.trouble = SuccessorFull
			}
		}
	}
}

// problems groups what stands in the way by reason, successor and kind, in plan order,
// after what keeps all of it waiting.
func (p *planned) problems() []*Problem {
	var out []*Problem
	if p.notice != nil {
		out = append(out, &Problem{Reason: LeaverStatus, Text: LeaverStatus.Text(), Blocking: true, Items: len(p.Items), ExecutableFrom: p.notice.from})
	}
	out = append(append(out, p.grouped()...), p.unread()...)
	if p.Successors.Split != nil {
		// Who shares but gets nothing is passed over; that is said, and stops nobody.
		for _, id := range p.Successors.Split.MemberIDs {
			if why := p.People[id].unfit(); why != "" {
				out = append(out, &Problem{Reason: why, Text: why.Text(), Successor: id, Kind: Contact})
			}
		}
	}
	return out
}

// unread is that nobody could read the history which the plan gives, for each kind of items.
func (p *planned) unread() (out []*Problem) {
	if !p.unreadable {
		return nil
	}
	for _, kind := range []ItemKind{Contact, Group} {
		n := 0
		for _, it := range p.Items {
			if it.Kind == kind {
				n++
			}
		}
		if n > 0 {
			out = append(out, &Problem{Reason: SuccessorCannotRead, Text: SuccessorCannotRead.Text(), Blocking: true, Items: n, Kind: kind})
		}
	}
	return out
}

// grouped gives the items their problems, one for all that have the same trouble.
func (p *planned) grouped() (out []*Problem) {
	type group struct {
		reason    Reason
		successor nid.ID
		kind      ItemKind
	}
	known := map[group]*Problem{}
	for i := range p.Items {
		it := &p.Items[i]
		if it.Problem = nil; it.trouble == "" {
			continue
		}
		g := group{it.trouble, it.To, it.Kind}
		if it.trouble == InProgress || it.trouble == CoolDown {
			g.successor = nid.ID{} // whoever it is for
		}
		if known[g] == nil {
			known[g] = &Problem{Reason: g.reason, Text: g.reason.Text(), Successor: g.successor, Kind: g.kind,
				Blocking: g.reason != InProgress && g.reason != CoolDown}
			if to := p.People[g.successor]; g.reason == SuccessorFull && to.Promised > 0 {
				known[g].Text = fault.T("the successor has no room for more contacts beside the %d that other open plans will bring",
					"除其他未完成的交接方案将带来的 %d 位客户外，接替成员已没有余量", to.Promised)
			}
			out = append(out, known[g])
		}
		it.Problem = known[g]
		it.Problem.Items++
	}
	return out
}

// blocked is the first blocking problem as a fault: LIMIT for a successor without
// room, INVALID for one who cannot take over.
func (p *planned) blocked(field string) error {
	p.mark()
	for _, b := range p.problems() {
		if !b.Blocking || b.Reason == LeaverStatus {
			continue // the leaver's status is looked at when it is executed
		}
		code := fault.Invalid
		if b.Reason == SuccessorFull || b.Reason == NoSuccessor {
			code = fault.Limit
		}
		return fault.New(code, field, b.Text).With("reason", string(b.Reason)).With("items", b.Items).With("successorId", shown(b.Successor))
	}
	return nil
}

// shown is an id for a client; nil for none.
func shown(id nid.ID) any {
	if id.IsZero() {
		return nil
	}
	return id.String()
}

// Text puts the reason in words.
func (r Reason) Text() fault.Text {
	switch r {
	case OwnerChanged:
		return fault.T("somebody else has become its owner since the plan was made", "计划制定后归属已变更")
	case NotFollowed:
		return fault.T("the leaver no longer follows this contact", "离开的成员已不再跟进该客户")
	case InProgress:
		return fault.T("an earlier transfer of it is still waiting for its outcome", "此前的分配仍在等待结果")
	case SuccessorFull:
		return fault.T("the successor has no room for more contacts", "接替成员的客户数已达上限")
	case SuccessorNotActive:
		return fault.T("the successor is not an active member", "接替成员不是在职状态")
	case SuccessorContactDisabled:
		return fault.T("the successor may not have customer contacts", "接替成员未开通客户联系功能")
	case SuccessorOutOfScope:
		return fault.T("the successor is outside the departments you may hand over to", "接替成员不在您的权限范围内")
	case CoolDown:
		return fault.T("the contact was moved too often lately; it can move again later", "该客户近期转移次数过多,需稍后再转移")
	case ChangedSince:
		return fault.T("it has been changed since, and is left alone", "此后已被变更,不予处理")
	case LeaverStatus:
		return fault.T("the leaver is still at work: this can be planned, and executed once the leaver has left", "成员仍在职：可以制定方案，待其离职后执行")
	case NoSuccessor:
		return fault.T("no rule finds a successor who can take it", "没有规则能为其找到可接替的成员")
	case SuccessorCannotRead:
		return fault.T("the settings let no successor read chat history; plan with history NONE", "企业设置不允许接替成员查看聊天记录，请将 history 设为 NONE")
	case NotPermitted:
		return fault.T("who executes the handover may not do so any more", "执行人已无权执行该交接")
	case Unexpected:
		return fault.T("it could not be carried out; the service's log says why", "执行时发生意外错误,详见服务日志")
	case NeedsApproval:
		return fault.T("it needs approval by somebody else", "需要他人审批")
	}
	return fault.T("%s", "%s", string(r))
}
