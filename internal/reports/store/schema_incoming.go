package store

// incomingSchema has the tables of the reports that others send.
var incomingSchema = []string{}
