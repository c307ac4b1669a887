package mta

import (
	"os"
	"strings"
)

// assumedVersion is the release whose defaults count where postconf(1) cannot tell it.
const assumedVersion = "3.7"

// defaults are those of the parameters that concern milters, postconf(5).
func (p *Postfix) defaults() map[string]string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	if !strings.Contains(host, ".") {
		host += ".localdomain"
	}
	_, domain, _ := strings.Cut(host, ".")
	if name, ok := p.set["myhostname"]; ok {
		_, domain, _ = strings.Cut(name, ".")
	}
	return map[string]string{
		"mail_version":        assumedVersion,
		"mail_name":           "Postfix",
		"compatibility_level": "0",
		"config_directory":    p.Dir,
		"queue_directory":     "/var/spool/postfix",
		"daemon_directory":    "/usr/lib/postfix/sbin",
		"mail_owner":          "postfix",
		"myhostname":          host,
		"mydomain":            domain,
		"myorigin":            "$myhostname",
		"mydestination":       "$myhostname, localhost.$mydomain, localhost",
		"mynetworks":          "127.0.0.0/8 [::1]/128",
		"relay_domains":       "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
		"inet_interfaces":     "all",

		"virtual_alias_domains":   "$virtual_alias_maps",
		"virtual_mailbox_domains": "$virtual_mailbox_maps",

		"smtpd_relay_restrictions": "${{$compatibility_level} <level {1} ? {} : {permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination}}",
		"smtpd_sasl_auth_enable":   "no",

		"milter_default_action":       "tempfail",
		"milter_protocol":             "6",
		"milter_connect_timeout":      "30s",
		"milter_command_timeout":      "30s",
		"milter_content_timeout":      "300s",
		"milter_macro_daemon_name":    "$myhostname",
		"milter_macro_v":              "$mail_name $mail_version",
		"milter_connect_macros":       "j {daemon_name} {daemon_addr} v _",
		"milter_helo_macros":          "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
		"milter_mail_macros":          "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
		"milter_rcpt_macros":          "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
		"milter_data_macros":          "i",
		"milter_end_of_header_macros": "i",
		"milter_end_of_data_macros":   "i",

		"cleanup_service_name":           "cleanup",
		"message_size_limit":             "10240000",
		"header_size_limit":              "102400",
		"default_process_limit":          "100",
		"disable_mime_output_conversion": "no",
		"multi_instance_enable":          "no",
		"syslog_name":                    "${multi_instance_name?{$multi_instance_name}:{postfix}}",
	}
}

// emptyByDefault are further parameters of interest. A release whose default is not empty says so.
var emptyByDefault = []string{
	"smtpd_milters", "non_smtpd_milters", "smtpd_milter_maps", "milter_header_checks", "milter_macro_defaults",
	"internal_mail_filter_classes", "content_filter", "smtpd_proxy_filter", "receive_override_options",
	"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_recipient_restrictions",
	"smtp_discard_ehlo_keywords", "smtp_discard_ehlo_keyword_address_maps", "force_mime_input_conversion",
	"relayhost", "default_transport", "smtp_tls_wrappermode", "multi_instance_directories", "multi_instance_name", "maillog_file",
	"master_service_disable", "virtual_alias_maps", "virtual_mailbox_maps", "authorized_submit_users",
}
