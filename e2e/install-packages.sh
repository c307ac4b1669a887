#!/bin/sh
# Installs the Debian packages that the end-to-end tests drive: Postfix as the MTA, opendkim and
# dkimpy as other hands that verify what Signpost signs. Quiet and quick when all are there.
#
# Nothing is started and nothing is configured: Postfix is installed without a configuration (the
# tests write their own in a temporary folder), and services are kept from starting meanwhile.
# Exit 0: all there. Otherwise one line on standard error says what is missing and why.
set -u

packages="postfix opendkim opendkim-tools python3-dkim"

missing() {
	for p in $packages; do
		dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || printf ' %s' "$p"
	done
}

give_up() {
	echo "e2e packages missing:$wanted ($1)" >&2
	exit 1
}

command -v dpkg-query >/dev/null 2>&1 || { wanted=" $packages"; give_up "this is not Debian"; }
wanted=$(missing)
[ -z "$wanted" ] && exit 0
[ "$(id -u)" = 0 ] || give_up "only root may install them: apt-get install$wanted"

# Another MTA would have to go for Postfix; that is for its owner to decide.
for mta in exim4-daemon-light exim4-daemon-heavy sendmail-bin opensmtpd nullmailer msmtp-mta; do
	dpkg-query -W -f='${db:Status-Status}\n' "$mta" 2>/dev/null | grep -qx installed &&
		give_up "$mta is installed, and Postfix would displace it"
done

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
	trap 'rm -f "$policy" "$log"' EXIT
else
	trap 'rm -f "$log"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
if ! [ -e /etc/postfix/main.cf ] && command -v debconf-set-selections >/dev/null 2>&1; then
	echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections >>"$log" 2>&1
fi

# Somebody else may hold the package lock, and a mirror may answer badly once.
install() {
	# shellcheck disable=SC2086 # $wanted is a list
	apt-get -o DPkg::Lock::Timeout=180 install -y -q --no-install-recommends --no-remove $wanted >>"$log" 2>&1
}
for try in 1 2 3; do
	if install; then break; fi
	sleep $((try * 2))
	apt-get -o DPkg::Lock::Timeout=180 -q update >>"$log" 2>&1
	wanted=$(missing)
done
wanted=$(missing)
[ -z "$wanted" ] && exit 0
tail -n 20 "$log" >&2
give_up "apt-get could not install them, see above"
