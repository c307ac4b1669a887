package store

// outgoingSchema has the tables of the reports to others.
var outgoingSchema = []string{}
