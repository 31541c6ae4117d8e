package reports

import "time"

var agingColumns = []column{
	col("member_id", plain, "Leaver id", "离职成员 ID"),
	col("userid", plain, "Leaver's account", "离职成员帐号"),
	col("name", plain, "Leaver", "离职成员"),
	col("status", plain, "Status", "状态"),
	col("department_id", plain, "Department id", "部门 ID"),
	col("department", plain, "Department", "部门"),
	col("since", instant, "Unassigned since", "待分配起始时间"),
	col("since_date", date, "Unassigned since (day)", "待分配起始日期"),
	col("days", whole, "Days", "天数"),
	col("age", plain, "Age in days", "待分配时长(天)"),
	col("contacts", whole, "Contacts", "客户数"),
	col("key_contacts", whole, "Key contacts", "重要客户数"),
	col("groups", whole, "Groups", "客户群数"),
	col("deadline", instant, "Deadline", "截止时间"),
	col("deadline_date", date, "Deadline (day)", "截止日期"),
	col("caretaker_userid", plain, "Caretaker's account", "代管成员帐号"),
	col("caretaker_name", plain, "Caretaker", "代管成员"),
}

const agingDocument = `query ReportUnassignedAging($first: Int!, $after: Cursor) {
  members(filter: {hasUnassigned: true}, first: $first, after: $after) {
    nodes {
      id userId name status mainDepartment { id name }
      unassigned { contacts keyContacts groups since deadline caretaker { userId name } }
    }
    pageInfo { hasNextPage endCursor }
  }
}`

type agingRow struct {
	ID, UserID, Name, Status string
	MainDepartment           *named
	Unassigned               *struct {
		Contacts, KeyContacts, Groups int
		Since                         string
		Deadline                      *string
		Caretaker                     *named
	}
}

// aging reads one page of leavers.
func aging(a *question, t *table) (string, error) {
	return a.walk(func(first int, after any) (int, pageInfo, error) {
		var got struct {
			Members struct {
				Nodes    []agingRow
				PageInfo pageInfo
			}
		}
		if err := a.ask(agingDocument, map[string]any{"first": first, "after": after}, &got); err != nil {
			return 0, pageInfo{}, err
		}
		for i := range got.Members.Nodes {
			if err := got.Members.Nodes[i].add(a.now, t); err != nil {
				return 0, pageInfo{}, err
			}
		}
		return len(got.Members.Nodes), got.Members.PageInfo, nil
	})
}

func (r *agingRow) add(now time.Time, t *table) error {
	u := r.Unassigned
	if u == nil {
		return nil
	}
	begin, err := at(u.Since)
	if err != nil {
		return err
	}
	deadline, err := since(u.Deadline)
	if err != nil {
		return err
	}
	days := max(int(now.Sub(begin)/(24*time.Hour)), 0)
	var caretaker any
	if u.Caretaker != nil {
		caretaker = u.Caretaker.UserID
	}
	t.add(r.ID, r.UserID, r.Name, r.Status, id(r.MainDepartment), name(r.MainDepartment), begin, begin, days, age(days),
		u.Contacts, u.KeyContacts, u.Groups, deadline, deadline, caretaker, name(u.Caretaker))
	return nil
}

// age puts full days into the report's classes. The dash is no minus, so that no
// spreadsheet reads a date.
func age(days int) string {
	switch {
	case days < 1:
		return "0–1"
	case days < 3:
		return "1–3"
	case days < 7:
		return "3–7"
	case days < 30:
		return "7–30"
	}
	return "30+"
}
