package reports

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
)

var dailyColumns = []column{
	col("date", date, "Date", "日期"),
	col("bucket", plain, "Period", "时间段"),
	col("bucket_start", instant, "Period begins", "时间段开始"),
	col("department_id", plain, "Department id", "部门 ID"),
	col("department", plain, "Department", "部门"),
	col("from_department_id", plain, "Leaver's department id", "原部门 ID"),
	col("from_department", plain, "Leaver's department", "原部门"),
	col("leaver_id", plain, "Leaver id", "离职成员 ID"),
	col("leaver", plain, "Leaver", "离职成员"),
	col("successor_id", plain, "Successor id", "接替成员 ID"),
	col("successor", plain, "Successor", "接替成员"),
	col("kind", plain, "Kind", "类型"),
	col("handover_kind", plain, "Kind of handover", "交接类型"),
	col("status", plain, "Status", "状态"),
	col("importance", plain, "Importance", "重要程度"),
	col("reason", plain, "Reason", "原因"),
	col("rule", plain, "Rule", "分配规则"),
	col("assigned", whole, "Assigned", "已分配"),
	col("completed", whole, "Completed", "已完成"),
	col("refused", whole, "Refused", "客户拒绝"),
	col("waiting", whole, "Waiting", "等待中"),
	col("waiting_over_24h", whole, "Waiting over 24 h", "等待超过 24 小时"),
	col("limit_reached", whole, "Successor full", "接替成员已满"),
	col("skipped", whole, "Skipped", "已跳过"),
	col("failed", whole, "Failed", "失败"),
	col("cancelled", whole, "Cancelled", "已取消"),
	col("reverted", whole, "Reverted", "已撤回"),
	col("decided", whole, "Decided", "已有结果"),
	col("success_rate", number, "Success rate", "成功率"),
	col("refusal_rate", number, "Refusal rate", "拒绝率"),
	col("takeover_hours_p50", number, "Hours to take over, median", "接替耗时中位数(小时)"),
	col("takeover_hours_p90", number, "Hours to take over, 90th percentile", "接替耗时 P90(小时)"),
}

const dailyDocument = `query ReportTransferDaily($filter: TransferStatisticsFilter, $bucket: TimeBucket!, $tz: String!, $by: [StatisticsDimension!]!) {
  transferStatistics(filter: $filter, bucket: $bucket, timeZone: $tz, groupBy: $by, fill: false) {
    truncated
    rows {
      bucketStart bucketLabel departmentId department fromDepartmentId fromDepartment leaverId leaver successorId successor
      kind handoverKind status importance reason rule
      assigned completed refused waiting waitingOver24h limitReached skipped failed cancelled reverted decided
      successRate refusalRate takeoverHoursP50 takeoverHoursP90
    }
  }
}`

type dailyRow struct {
	BucketStart, BucketLabel                                                     *string
	DepartmentID, Department, FromDepartmentID, FromDepartment                   *string
	LeaverID, Leaver, SuccessorID, Successor                                     *string
	Kind, HandoverKind, Status, Importance, Reason, Rule                         *string
	Assigned, Completed, Refused, Waiting, WaitingOver24h, LimitReached, Skipped int
	Failed, Cancelled, Reverted, Decided                                         int
	SuccessRate, RefusalRate, TakeoverHoursP50, TakeoverHoursP90                 *float64
}

// daily reads one page of statistics. They come in the order of time, so a page goes
// on in the bucket where the last one ended: its cursor is where that begins and how
// many of its rows have been given.
func daily(a *question, t *table) (string, error) {
	filter := a.filter()
	place, err := a.marked()
	if err != nil {
		return "", err
	}
	given := 0
	if place != "" {
		start, n, _ := strings.Cut(place, " ")
		begin, err := at(start)
		var bad error
		if given, bad = strconv.Atoi(n); err != nil || bad != nil || given < 0 {
			return "", strange()
		}
		if a.from == nil || begin.After(*a.from) { // the first bucket may begin before
			filter["from"] = begin.Format(time.RFC3339Nano)
		}
	}
	var got struct {
		TransferStatistics struct {
			Truncated bool
			Rows      []dailyRow
		}
	}
	by := make([]any, len(a.groupBy))
	for i, d := range a.groupBy {
		by[i] = d
	}
	if err := a.ask(dailyDocument, map[string]any{"filter": filter, "bucket": strings.ToUpper(a.bucket), "tz": a.zone.String(), "by": by}, &got); err != nil {
		return "", err
	}
	all, rest := got.TransferStatistics.Rows, ""
	if got.TransferStatistics.Truncated {
		// Which rows of the last bucket are there is no order's doing: leave it to the next page.
		last := all[len(all)-1].BucketStart
		for len(all) > 0 && equal(all[len(all)-1].BucketStart, last) {
			all = all[:len(all)-1]
		}
		if len(all) == 0 {
			return "", fault.Bad("groupBy", "one period has more than %d rows; group by less", "单个时间段超过 %d 行,请减少分组维度", MaxRows)
		}
		rest = a.mark(*last + " 0")
	}
	given = min(given, len(all))
	end := min(given+a.limit, len(all))
	for i := given; i < end; i++ {
		if err := all[i].add(t); err != nil {
			return "", err
		}
	}
	if end == len(all) {
		return rest, nil
	}
	last, n := all[end-1].BucketStart, 0
	for i := range end {
		if equal(all[i].BucketStart, last) {
			n++
		}
	}
	if last == nil { // bucket none: one stretch of time
		return a.mark(fmt.Sprintf("%s %d", beginning(a), n)), nil
	}
	return a.mark(fmt.Sprintf("%s %d", *last, n)), nil
}

// beginning stands in a cursor where there is one bucket: before everything.
func beginning(a *question) string {
	if a.from != nil {
		return a.from.Format(time.RFC3339Nano)
	}
	return "0001-01-01T00:00:00Z"
}

func equal(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

func (r *dailyRow) add(t *table) error {
	start, err := since(r.BucketStart)
	if err != nil {
		return err
	}
	t.add(start, or(r.BucketLabel), start, or(r.DepartmentID), or(r.Department), or(r.FromDepartmentID), or(r.FromDepartment),
		or(r.LeaverID), or(r.Leaver), or(r.SuccessorID), or(r.Successor), or(r.Kind), or(r.HandoverKind), or(r.Status), or(r.Importance), or(r.Reason), or(r.Rule),
		r.Assigned, r.Completed, r.Refused, r.Waiting, r.WaitingOver24h, r.LimitReached, r.Skipped, r.Failed, r.Cancelled, r.Reverted, r.Decided,
		or(r.SuccessRate), or(r.RefusalRate), or(r.TakeoverHoursP50), or(r.TakeoverHoursP90))
	return nil
}
