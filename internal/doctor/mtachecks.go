package doctor

// mtaKinds are the ids about the MTA's configuration and log.
func mtaKinds() []kind { return nil }

// mtaChecks look at the MTA's configuration and log.
func mtaChecks() []check { return nil }
