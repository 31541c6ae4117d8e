package reports

var itemColumns = []column{
	col("id", plain, "Transfer id", "分配记录 ID"),
	col("handover_id", plain, "Handover id", "交接 ID"),
	col("handover_kind", plain, "Kind of handover", "交接类型"),
	col("kind", plain, "Kind", "类型"),
	col("importance", plain, "Importance", "重要程度"),
	col("contact_id", plain, "Contact id", "客户 ID"),
	col("contact_name", plain, "Contact", "客户"),
	col("group_id", plain, "Group id", "客户群 ID"),
	col("group_name", plain, "Group", "客户群"),
	col("from_userid", plain, "Leaver's account", "离职成员帐号"),
	col("from_name", plain, "Leaver", "离职成员"),
	col("to_userid", plain, "Successor's account", "接替成员帐号"),
	col("to_name", plain, "Successor", "接替成员"),
	col("from_department", plain, "Leaver's department", "原部门"),
	col("to_department", plain, "Successor's department", "接替部门"),
	col("status", plain, "Status", "状态"),
	col("reason", plain, "Reason", "原因"),
	col("because", plain, "Why this successor", "选择依据"),
	col("rule", plain, "Rule", "分配规则"),
	col("assigned_at", instant, "Assigned at", "分配时间"),
	col("assigned_date", date, "Assigned on", "分配日期"),
	col("finished_at", instant, "Finished at", "结束时间"),
	col("finished_date", date, "Finished on", "结束日期"),
	col("takeover_hours", number, "Hours to take over", "接替耗时(小时)"),
}

const itemDocument = `query ReportTransferItems($filter: TransferStatisticsFilter, $first: Int!, $after: Cursor) {
  transferItems(filter: $filter, first: $first, after: $after) {
    nodes {
      id handoverId handoverKind kind importance contact { id name } group { id name } from { userId name } to { userId name }
      fromDepartment { name } toDepartment { name } status reason because rule assignedAt finishedAt takeoverHours
    }
    pageInfo { hasNextPage endCursor }
  }
}`

// named is an object of which a report shows the id or account and the name.
type named struct{ ID, UserID, Name string }

type itemRow struct {
	ID, HandoverID, HandoverKind, Kind, Importance, Status string
	Contact, Group, FromDepartment, ToDepartment           *named
	From, To                                               named
	Reason, Because, Rule, FinishedAt                      *string
	AssignedAt                                             string
	TakeoverHours                                          *float64
}

// pageInfo is where a page of a document ends.
type pageInfo struct {
	HasNextPage bool
	EndCursor   string
}

// items reads one page of transfers.
func items(a *question, t *table) (string, error) {
	return a.walk(func(first int, after any) (int, pageInfo, error) {
		var got struct {
			TransferItems struct {
				Nodes    []itemRow
				PageInfo pageInfo
			}
		}
		if err := a.ask(itemDocument, map[string]any{"filter": a.filter(), "first": first, "after": after}, &got); err != nil {
			return 0, pageInfo{}, err
		}
		for i := range got.TransferItems.Nodes {
			if err := got.TransferItems.Nodes[i].add(t); err != nil {
				return 0, pageInfo{}, err
			}
		}
		return len(got.TransferItems.Nodes), got.TransferItems.PageInfo, nil
	})
}

// walk reads a connection in chunks until the page is full, and gives the cursor of
// the next page.
func (a *question) walk(read func(first int, after any) (int, pageInfo, error)) (string, error) {
	place, err := a.marked()
	if err != nil {
		return "", err
	}
	var after any
	if place != "" {
		after = place
	}
	for left := a.limit; ; {
		n, end, err := read(min(left, chunk), after)
		if err != nil {
			return "", err
		}
		left -= n
		switch {
		case !end.HasNextPage:
			return "", nil
		case left <= 0:
			return a.mark(end.EndCursor), nil
		}
		after = end.EndCursor
	}
}

func (r *itemRow) add(t *table) error {
	assigned, err := at(r.AssignedAt)
	if err != nil {
		return err
	}
	finished, err := since(r.FinishedAt)
	if err != nil {
		return err
	}
	t.add(r.ID, r.HandoverID, r.HandoverKind, r.Kind, r.Importance, id(r.Contact), name(r.Contact), id(r.Group), name(r.Group),
		r.From.UserID, r.From.Name, r.To.UserID, r.To.Name, name(r.FromDepartment), name(r.ToDepartment),
		r.Status, or(r.Reason), or(r.Because), or(r.Rule), assigned, assigned, finished, finished, or(r.TakeoverHours))
	return nil
}

func id(n *named) any {
	if n == nil {
		return nil
	}
	return n.ID
}

func name(n *named) any {
	if n == nil {
		return nil
	}
	return n.Name
}
