package reports

import "github.com/openhandover/openhandover/internal/fault"

// definition is one report.
type definition struct {
	name       string
	about      fault.Text
	parameters []string
	columns    []column
	// rows adds the rows of the page to the table and gives the next page's cursor.
	rows func(a *question, t *table) (next string, err error)
}

var reports = []definition{
	{
		"transfer_daily", fault.T("Transfers counted by time and whatever else is asked for.", "按时间及所选维度统计的分配情况。"),
		[]string{"from", "until", "to", "tz", "bucket", "groupBy", "lang", "headers", "cursor", "limit", "bom"}, dailyColumns, daily,
	},
	{
		"transfer_items", fault.T("Transfers one by one, in the order of assignment.", "逐条分配记录,按分配时间排序。"),
		[]string{"from", "until", "to", "tz", "lang", "headers", "cursor", "limit", "bom"}, itemColumns, items,
	},
	{
		"unassigned_aging", fault.T("Leavers with contacts or groups that nobody has taken over.", "仍有客户或客户群待分配的离职成员。"),
		[]string{"tz", "lang", "headers", "cursor", "limit", "bom"}, agingColumns, aging,
	},
}

func col(name string, s sort, en, zh string) column {
	return column{name, s, fault.Text{EN: en, ZH: zh}}
}

// or is the value, or nil where there is none: an empty cell, null in JSON.
func or[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}

// since is a moment of a document, or nil.
func since(v *string) (any, error) {
	if v == nil {
		return nil, nil
	}
	return at(*v)
}
