#!/bin/sh
# Makes a Debian or Ubuntu machine ready for `make demo` and `make test`, touching nothing that is
# already there. As root it installs what is missing; otherwise it says what to install and stops.
#
#   deploy/bootstrap.sh packages   commands that the project needs
#   deploy/bootstrap.sh venv       .venv with the locked dependencies
#   deploy/bootstrap.sh engine     a container engine that answers
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH DEBIAN_FRONTEND=noninteractive
cache="${PATCHWRIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/patchwright}"

stop() {
    echo "patchwright: $1" >&2
    exit 1
}

install_missing() {
    missing="$1"
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || stop "install these packages first: sudo apt-get install -y $missing"
    command -v apt-get >/dev/null || stop "install these first (Debian names): $missing"
    echo "patchwright: installing $missing"
    # shellcheck disable=SC2086 # a list of package names
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } \
        >"${TMPDIR:-/tmp}/patchwright-apt.log" 2>&1 \
        || stop "apt-get failed; see ${TMPDIR:-/tmp}/patchwright-apt.log"
}

packages() {
    missing=""
    for pair in git:git python3:python3 curl:curl tar:tar gpgv:gpgv; do
        command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
    done
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
    python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
    if ! docker_answers && ! command -v dockerd >/dev/null; then
        missing="$missing docker.io iptables"
    fi
    command -v debootstrap >/dev/null || missing="$missing debootstrap debian-archive-keyring"
    install_missing "$missing"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
        || stop "Python 3.11 or newer is needed; this machine's python3 is $(python3 -V 2>&1)"
}

test_packages() {
    missing=""
    command -v npm >/dev/null || missing="$missing npm"
    # Sandboxes without a container, as some tests have them, search as the real ones do.
    command -v rg >/dev/null || missing="$missing ripgrep"
    [ -x /usr/bin/chromium ] || missing="$missing chromium"
    if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
        missing="$missing postgresql"
    fi
    install_missing "$missing"
}

docker_answers() {
    python3 - <<'PY' 2>/dev/null
import os, socket, sys
url = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
if not url.startswith("unix://"):
    sys.exit(0)  # a remote engine is the user's own affair; `patchwright doctor` looks at it
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
try:
    s.connect(url.removeprefix("unix://"))
except PermissionError:
    sys.exit(13)
s.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
sys.exit(0 if b" 200 " in s.recv(64) else 1)
PY
}

venv() {
    stamp=.venv/.lock-installed
    want="$(cat requirements.lock pyproject.toml | sha256sum)"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
        return 0
    fi
    [ -x .venv/bin/python ] || python3 -m venv .venv
    echo "patchwright: installing Python packages"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
        -r requirements.lock
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
        --no-build-isolation --editable .
    echo "$want" >"$stamp"
}

engine() {
    docker_answers && return 0 || said=$?
    [ "$said" != 13 ] || stop "this user may not use the container engine; run \
sudo usermod -aG docker $(id -un), and log in again"
    [ "$(id -u)" = 0 ] || stop "no container engine responds; start it: sudo systemctl start docker"
    command -v dockerd >/dev/null || stop "no container engine: apt-get install -y docker.io"
    mkdir -p "$cache"
    echo "patchwright: starting dockerd (log: $cache/dockerd.log)"
    rm -f /var/run/docker.pid
    setsid dockerd >"$cache/dockerd.log" 2>&1 </dev/null &
    for _ in $(seq 60); do
        docker_answers && return 0
        sleep 1
    done
    tail -n 5 "$cache/dockerd.log" >&2
    stop "dockerd did not respond within a minute; see $cache/dockerd.log"
}

for step in "$@"; do
    case "$step" in
        packages) packages ;;
        test-packages) test_packages ;;
        venv) venv ;;
        engine) engine ;;
        *) stop "unknown step $step" ;;
    esac
done
