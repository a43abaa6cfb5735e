#!/bin/sh
# Makes the secrets that compose.yaml names, once: what is there is kept. As root, so that the
# container's user (10010) can read its own and nobody else on this machine can.
set -eu
cd "$(dirname "$0")"
owner="${PATCHWRIGHT_UID:-10010}"
[ "$(id -u)" = 0 ] || { echo "secrets.sh: run this as root: sudo ./secrets.sh" >&2; exit 1; }
umask 077
mkdir -p secrets/app

word() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

keep() { # NAME VALUE
    [ -s "secrets/$1" ] || printf '%s\n' "$2" >"secrets/$1"
}

keep postgres-password "$(word)"
keep operator-token "$(word)"
keep metrics-token "$(word)"
keep grafana-password "$(word)"
password="$(cat secrets/postgres-password)"
keep database-url "postgresql+psycopg://patchwright:$password@postgres/patchwright"
# Grafana's own user.
chown 472 secrets/grafana-password
chown -R "$owner:$owner" secrets/database-url secrets/operator-token secrets/app
chmod 400 secrets/database-url secrets/operator-token secrets/postgres-password secrets/grafana-password
# Read by three users in containers; here the folder keeps everybody else out.
chmod 444 secrets/metrics-token
chmod 700 secrets secrets/app
echo "secrets are in $(pwd)/secrets; the operator token is in operator-token"
