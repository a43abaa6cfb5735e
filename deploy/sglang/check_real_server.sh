#!/bin/sh
# A short check of a real OpenAI-compatible server with Patchwright: not for CI.
#
#   check_real_server.sh http://ROUTER:8000 [PROFILE] [MODEL]
#       asks a running server: health, `doctor --model`, and one small repair in a sandbox
#   check_real_server.sh --small MODEL.gguf|FOLDER
#       starts a server with a small model of yours and asks that (profile generic): llama.cpp's for
#       a GGUF file, `transformers serve` for a folder in Hugging Face's form
#
# The key, if the server wants one, in PATCHWRIGHT_MODEL_API_KEY. SMALL_PYTHON: a Python that has the
# small server already. Status 0: fit for Patchwright.
set -eu

patchwright=${PATCHWRIGHT:-patchwright}
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT INT TERM

wait_until_up() {
    tries=0
    until curl -fsS -o /dev/null "$1" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 120 ] || {
            echo "$1 gives no answer after two minutes" >&2
            exit 1
        }
        sleep 1
    done
}

case ${1:-} in
--small)
    model=${2:?a GGUF file or a folder, e.g. of a small model with tool calls}
    [ -s "$model" ] || {
        echo "there is no $model" >&2
        exit 66
    }
    packages='llama-cpp-python[server]>=0.3'
    [ ! -d "$model" ] || packages='torch transformers[serving]>=5'
    python=${SMALL_PYTHON:-$work/venv/bin/python}
    if [ -z "${SMALL_PYTHON:-}" ]; then
        python3 -m venv "$work/venv"
        # shellcheck disable=SC2086  # two packages
        "$python" -m pip install --quiet $packages
    fi
    if [ -d "$model" ]; then
        "$(dirname "$python")/transformers" serve "$model" --host 127.0.0.1 --port 18080 \
            >"$work/server.log" 2>&1 &
        name=$model
    else
        "$python" -m llama_cpp.server --model "$model" --n_ctx 32768 --host 127.0.0.1 \
            --port 18080 --chat_format chatml-function-calling >"$work/server.log" 2>&1 &
        name=$(basename "$model")
    fi
    server=$!
    wait_until_up http://127.0.0.1:18080/v1/models
    url=http://127.0.0.1:18080 profile=generic
    ;;
http*)
    url=$1 profile=${2:-k2-thinking} name=${3:-}
    # The router's /health stays 200 without workers; a server alone has no /readiness.
    curl -fsS -o /dev/null "$url/readiness" 2>/dev/null || wait_until_up "$url/health"
    ;;
*)
    sed -n '4,11s/^# *//p' "$0" >&2
    exit 64
    ;;
esac

export PATCHWRIGHT_MODEL_URL="$url" PATCHWRIGHT_MODEL="$profile" PATCHWRIGHT_MODEL_NAME="$name"
export PATCHWRIGHT_STATE_DIR="$work/state"

status=0
"$patchwright" doctor --model || status=1

git init -q "$work/repo"
cat >"$work/repo/mean.py" <<'PY'
def mean(values):
    return sum(values) / (len(values) - 1)
PY
cat >"$work/repo/test_mean.py" <<'PY'
from mean import mean


def test_single_value():
    assert mean([4.0, 4.0]) == 4.0
PY
git -C "$work/repo" add .
git -C "$work/repo" -c user.name=check -c user.email=check@localhost commit -qm "A mean"
printf '# The mean is too large\n\nmean([4.0, 4.0]) gives 8.0 instead of 4.0.\n' >"$work/issue.md"
"$patchwright" fix "$work/repo" --issue "$work/issue.md" --test-command "python3 -m pytest -q" \
    --out "$work/fix.patch" || status=1
[ ! -s "$work/fix.patch" ] || cat "$work/fix.patch"
exit $status
