package handover

// Eyes are the parts of the four-eyes rule, for tests that take one of them out.
var Eyes = &eyes

// The parts of the rule as they look at a handover.
type Record = record

// Some is for parts that name other people.
var Some = some

// Largest is for its own test.
var Largest = largest
