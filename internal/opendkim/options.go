package opendkim

import "strings"

// valueKind is what opendkim accepts as a value.
type valueKind int

const (
	text valueKind = iota
	boolean
	integer
)

// option is a parameter of opendkim.conf(5).
type option struct {
	name string
	kind valueKind
	// fate is "" where the code of this package carries it over or speaks of it, quiet
	// where nothing about mail depends on it, else what becomes of it.
	fate string
}

const quiet = "quiet"

// The fates that several parameters share.
const (
	verifies = "this is about incoming mail, which verifier judges by its own rules, in monitor mode until you set verifier.mode: enforce"
	ldap     = "it is for data sets in LDAP, which are not read"
	script   = "the script can change what is signed, and is not run: signer.domains alone decides"
	reports  = "reports about failures are not sent"
	socket   = "Signpost listens where milter.listen says, with milter.socket_mode and socket_group; main.cf has to name that address"
	other    = "this build of opendkim does not have it, and neither has Signpost"
)

// options are the parameters that opendkim 2.11 or another version knows, by name in
// lower case.
var options = optionTable(map[string][]option{
	"": {
		{name: "Canonicalization"}, {name: "Domain"}, {name: "DontSignMailTo"}, {name: "ExemptDomains"}, {name: "ExternalIgnoreList"},
		{name: "Include"}, {name: "InternalHosts"}, {name: "KeyFile"}, {name: "KeyTable"}, {name: "MacroList"}, {name: "Mode"},
		{name: "MTA"}, {name: "MultipleSignatures", kind: boolean}, {name: "OmitHeaders"}, {name: "OversignHeaders"}, {name: "PeerList"},
		{name: "Selector"}, {name: "SenderHeaders"}, {name: "SignHeaders"}, {name: "SigningTable"}, {name: "SubDomains", kind: boolean},
		{name: "SignatureAlgorithm"}, {name: "BaseDirectory"},
	},
	quiet: {
		{name: "AutoRestart", kind: boolean}, {name: "AutoRestartCount", kind: integer}, {name: "AutoRestartRate"},
		{name: "Background", kind: boolean}, {name: "CheckSigningTable", kind: boolean}, {name: "DisableCryptoInit", kind: boolean},
		{name: "DNSConnect", kind: boolean}, {name: "EnableCoredumps", kind: boolean},
		{name: "KeepTemporaryFiles", kind: boolean}, {name: "LogResults", kind: boolean}, {name: "LogWhy", kind: boolean},
		{name: "MilterDebug", kind: integer}, {name: "PidFile"}, {name: "QueryCache", kind: boolean},
		{name: "ResolverTracing", kind: boolean}, {name: "SoftStart", kind: boolean}, {name: "SoftwareHeader", kind: boolean},
		{name: "Statistics"}, {name: "StatisticsName"}, {name: "StatisticsPrefix"}, {name: "StrictTestMode", kind: boolean},
		{name: "Syslog", kind: boolean}, {name: "SyslogFacility"}, {name: "SyslogName"}, {name: "SyslogSuccess", kind: boolean},
		{name: "StdoutLog", kind: boolean}, {name: "TemporaryDirectory"}, {name: "TrustAnchorFile"}, {name: "UserID"}, {name: "X-Header", kind: boolean},
	},
	verifies: {
		{name: "AllowSHA1Only", kind: boolean}, {name: "AlwaysAddARHeader", kind: boolean}, {name: "AuthservIDWithJobID", kind: boolean},
		{name: "BogusKey"}, {name: "CaptureUnknownErrors", kind: boolean}, {name: "ClockDrift", kind: integer}, {name: "DiagnosticDirectory"},
		{name: "DomainKeysCompat", kind: boolean}, {name: "IgnoreMalformedMail", kind: boolean}, {name: "KeepAuthResults", kind: boolean},
		{name: "Minimum"}, {name: "MustBeSigned"}, {name: "NoHeaderB", kind: boolean},
		{name: "On-BadSignature"}, {name: "On-Default"}, {name: "On-DNSError"}, {name: "On-InternalError"}, {name: "On-KeyNotFound"},
		{name: "On-NoSignature"}, {name: "On-Security"}, {name: "Quarantine", kind: boolean}, {name: "RedirectFailuresTo"},
		{name: "RemoveARAll", kind: boolean}, {name: "RemoveARFrom"}, {name: "RequiredHeaders", kind: boolean}, {name: "StrictHeaders", kind: boolean},
		{name: "TrustSignaturesFrom"}, {name: "UnprotectedKey"}, {name: "WeakSyntaxChecks", kind: boolean},
		{name: "VBR-Certifiers"}, {name: "VBR-PurgeFields", kind: boolean}, {name: "VBR-TrustedCertifiers"},
		{name: "VBR-TrustedCertifiersOnly", kind: boolean}, {name: "VBR-Type"}, {name: "ATPSDomains"}, {name: "ATPSHashAlgorithm"},
	},
	ldap: {
		{name: "LDAPAuthMechanism"}, {name: "LDAPAuthName"}, {name: "LDAPAuthRealm"}, {name: "LDAPAuthUser"}, {name: "LDAPBindPassword"},
		{name: "LDAPBindUser"}, {name: "LDAPDisableCache", kind: boolean}, {name: "LDAPKeepaliveIdle"}, {name: "LDAPKeepaliveInterval"},
		{name: "LDAPKeepaliveProbes"}, {name: "LDAPTimeout"}, {name: "LDAPUseTLS", kind: boolean},
	},
	script: {
		{name: "FinalPolicyScript"}, {name: "ScreenPolicyScript"}, {name: "SetupPolicyScript"}, {name: "StatisticsPolicyScript"},
		{name: "LuaOnlySigning", kind: boolean},
	},
	reports: {
		{name: "MTACommand"}, {name: "ReportAddress"}, {name: "ReportBccAddress"}, {name: "SendReports", kind: boolean}, {name: "SMTPURI"},
	},
	socket: {{name: "Socket"}, {name: "UMask", kind: integer}},
	other: {
		{name: "ConditionalSignatures"}, {name: "DefaultSender"}, {name: "FlowData"}, {name: "FlowDataFactor", kind: integer},
		{name: "FlowDataTTL", kind: integer}, {name: "IdentityHeader"}, {name: "IdentityHeaderRemove", kind: boolean}, {name: "POPDBFile"},
		{name: "RateLimits"}, {name: "ResignAll", kind: boolean}, {name: "ResignMailTo"}, {name: "On-ReputationError"},
	},
	"verifier.authserv_id is its counterpart: write the name there":                                              {{name: "AuthservID"}},
	"dns.servers is its counterpart: write the addresses there":                                                  {{name: "Nameservers"}, {name: "ResolverConfiguration"}},
	"dns.timeout is its counterpart, for one try at one server":                                                  {{name: "DNSTimeout", kind: integer}},
	"verifier.dkim.min_rsa_bits is its counterpart: write the number there":                                      {{name: "MinimumKeyBits", kind: integer}},
	"verifier.dkim.max_signatures is its counterpart: write the number there":                                    {{name: "MaximumSignaturesToVerify", kind: integer}},
	"for tests; dns.zone_file is its counterpart":                                                                {{name: "TestDNSData"}, {name: "TestPublicKeys"}},
	"Signpost refuses keys that others on this host may read; keys.insecure_mode: warn lets them":                {{name: "RequireSafeKeys", kind: boolean}},
	"the paths in the tables are read as they stand, not below this folder; import a copy whose paths are right": {{name: "ChangeRootDirectory"}},
	"a header beyond milter.max_header_bytes (1MiB) is refused":                                                  {{name: "MaximumHeaders", kind: integer}},
	"signatures have no l=: they cover the whole body, and text that a list appends breaks them":                 {{name: "BodyLengthDB"}, {name: "MaximumSignedBytes", kind: integer}},
	"signatures have no x=: they do not expire":                                                                  {{name: "SignatureTTL", kind: integer}},
	"signatures have no z=": {{name: "Diagnostics", kind: boolean}},
	"signatures have no r=y, so no reports about them are asked for":                                                               {{name: "RequestReports", kind: boolean}},
	"bare CR and LF are signed as they are":                                                                                        {{name: "FixCRLF", kind: boolean}},
	"old signatures in mail that leaves stay where they are":                                                                       {{name: "RemoveOldSignatures", kind: boolean}},
	"a field of the message cannot choose the canonicalization; it is signer.canonicalization for all":                             {{name: "SelectCanonicalizationHeader"}},
	"fields are signed as they come from the MTA, and not as these rules would change them; put Signpost behind what changes them": {{name: "ReplaceHeaders"}, {name: "ReplaceRules"}},
	"the macro does not choose the key: here, it is the domain in From":                                                            {{name: "SenderMacro"}},
	"signer.on_error is its counterpart: tempfail (451), the default, or unsigned":                                                 {{name: "On-SignatureError"}},
})

func optionTable(byFate map[string][]option) map[string]option {
	table := map[string]option{}
	for fate, list := range byFate {
		for _, o := range list {
			o.fate = fate
			table[strings.ToLower(o.name)] = o
		}
	}
	return table
}

// ofOthers are parameters that only another program has, in lower case: somebody gives its file.
var ofOthers = func() map[string]string {
	programs := map[string]string{}
	for program, names := range map[string]string{
		"opendmarc": `CopyFailuresTo DomainWhitelist DomainWhitelistFile DomainWhitelistSize FailureReports FailureReportsBcc FailureReportsOnNone
			FailureReportsSentBy HistoryFile HoldQuarantinedMessages IgnoreAuthenticatedClients IgnoreHosts IgnoreMailFrom PublicSuffixList
			RecordAllMessages RejectFailures RejectMultiValueFrom ReportCommand SPFIgnoreResults SPFSelfValidate TrustedAuthservIDs`,
		"openarc": "ArcMode FinalReceiver FixedTimestamp InternalHostsFile MinimumKeySizeRSA ResponseDisabled SealHeaderChecks",
		"policyd-spf": `defaultSeedOnly debugLevel Domain_Whitelist Domain_Whitelist_PTR Header_Type HELO_pass_restriction HELO_reject Hide_Receiver
			Lookup_Time Mail_From_pass_restriction Mail_From_reject No_Mail PermError_reject Prospective Reject_Not_Pass_Domains
			skip_addresses SPF_Enhanced_Status_Codes TempError_Defer TestOnly Void_Limit Whitelist Whitelist_Lookup_Time`,
	} {
		for _, name := range strings.Fields(names) {
			programs[strings.ToLower(name)] = program
		}
	}
	return programs
}()
