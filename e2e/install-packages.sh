#!/bin/sh
# Brings the Debian packages that the end-to-end tests drive: Postfix and Sendmail as the MTAs, PostgreSQL,
# opendkim, dkimpy and Mail::DKIM as other hands that verify what Signpost signs and seals, xmllint for reports,
# promtool (prometheus) for the alert rules, mandoc and man for the manual pages, zsh and fish for completion, jsonschema for the
# configuration's schema. Quiet and quick when all are there.
#
# Nothing is started and nothing is configured: Postfix is installed without a configuration (the
# tests write their own in a temporary folder), and services are kept from starting meanwhile.
# Sendmail's packages exclude Postfix's, so they are not installed but unpacked into a folder of the
# tests' own, SIGNPOST_E2E_CACHE or /var/cache/signpost-e2e.
# Exit 0: all there. Otherwise one line on standard error says what is missing and why.
set -u

# The libraries are those that Sendmail needs, and m4 writes its configuration. libldap's package has another name in each release.
libldap=$(. /etc/os-release 2>/dev/null && [ "${VERSION_ID:-13}" -lt 13 ] 2>/dev/null && echo libldap-2.5-0 || echo libldap2)
packages="postfix rspamd postgresql opendkim libxml2-utils prometheus opendkim-tools python3-dkim libmail-dkim-perl python3-jsonschema mandoc man-db zsh fish m4 libwrap0 $libldap libnsl2 libsasl2-2"
unpacked="sendmail-bin sendmail-cf"
cache=${SIGNPOST_E2E_CACHE:-/var/cache/signpost-e2e}

missing() {
	for p in $packages; do
		dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || printf ' %s' "$p"
	done
}

has_sendmail() { [ -x "$cache/sendmail/usr/libexec/sendmail/sendmail" ]; }

give_up() {
	echo "e2e packages missing:$wanted ($1)" >&2
	exit 1
}

command -v dpkg-query >/dev/null 2>&1 || { wanted=" $packages $unpacked"; give_up "this is not Debian"; }
wanted=$(missing)
[ -z "$wanted" ] && has_sendmail && exit 0

log=$(mktemp)
scratch=$(mktemp -d)
policy=
trap 'rm -rf "$log" "$scratch" $policy' EXIT

# again runs a command up to three times: somebody else may hold the package lock, and a mirror may
# answer badly once.
again() {
	for try in 1 2 3; do
		"$@" >>"$log" 2>&1 && return 0
		sleep $((try * 2))
		apt-get -o DPkg::Lock::Timeout=180 -q update >>"$log" 2>&1
	done
	return 1
}

install() {
	wanted=$(missing)
	# shellcheck disable=SC2086 # $wanted is a list
	apt-get -o DPkg::Lock::Timeout=180 install -y -q --no-install-recommends --no-remove $wanted
}

units() { find /lib/systemd/system /usr/lib/systemd/system -maxdepth 1 -name '*.service' 2>/dev/null | sed 's|.*/||' | sort -u; }

# disable keeps what was just installed from starting at the next boot: the tests start servers of their own.
disable() {
	units | comm -13 "$scratch/units" - | while read -r unit; do
		case $unit in *@.service) continue ;; esac
		systemctl disable -q "$unit" >>"$log" 2>&1 || true
		update-rc.d "${unit%.service}" disable >>"$log" 2>&1 || true
	done
}

# unpack leaves the folder either whole or as it was.
unpack() {
	(
		cd "$scratch" && rm -rf ./* &&
			# shellcheck disable=SC2086 # $unpacked is a list
			apt-get -q download $unpacked &&
			mkdir sendmail && for deb in *.deb; do dpkg -x "$deb" sendmail || exit 1; done &&
			# The group is for users who run sendmail(1); here root runs it, as a daemon.
			chmod g-s sendmail/usr/libexec/sendmail/sendmail &&
			mkdir -p "$cache" && rm -rf "$cache/sendmail" && cp -a sendmail "$cache/sendmail.$$" &&
			mv "$cache/sendmail.$$" "$cache/sendmail"
	)
}

if [ -n "$wanted" ]; then
	[ "$(id -u)" = 0 ] || give_up "only root may install them: apt-get install$wanted"
	echo "installing for the end-to-end tests, without starting or enabling any service:$wanted"
	units >"$scratch/units"
	# Another MTA would have to go for Postfix; that is for its owner to decide.
	for mta in exim4-daemon-light exim4-daemon-heavy sendmail-bin opensmtpd nullmailer msmtp-mta; do
		dpkg-query -W -f='${db:Status-Status}\n' "$mta" 2>/dev/null | grep -qx installed &&
			give_up "$mta is installed, and Postfix would displace it"
	done
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	if ! [ -e /etc/postfix/main.cf ] && command -v debconf-set-selections >/dev/null 2>&1; then
		echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections >>"$log" 2>&1
	fi
	again install && disable || { wanted=$(missing); tail -n 20 "$log" >&2; give_up "apt-get could not install them, see above"; }
fi
if ! has_sendmail; then
	wanted=" $unpacked"
	again unpack || { tail -n 20 "$log" >&2; give_up "they could not be unpacked into $cache, see above"; }
fi
