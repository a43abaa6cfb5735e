#!/bin/sh
# Start one SGLang server with Kimi K2 Thinking:  launch.sh 8xh200 | 2x8xh100 | 8xb200  [flags…]
#
# The variables are in sglang.env.example. With LAUNCH_PRINT=1 the command is printed, not run.
# Further flags are passed on. Figures for the hardware: docs/capacity.md.
set -eu

usage() {
    echo "usage: launch.sh 8xh200 | 2x8xh100 | 8xb200 [further flags of sglang.launch_server]" >&2
    exit 64
}

[ $# -ge 1 ] || usage
hardware=$1
shift

case $hardware in
8xh200)
    # Native INT4 weights: 594 GB of 1,128 GB.
    set -- --tp 8 "$@"
    ;;
2x8xh100)
    # Derived from SGLang's two-node form and not tried with this model. INT4 weights: the FP8
    # conversion (1.1 TB of 1.28 TB) leaves no room for a run's context, see docs/capacity.md.
    : "${NODE_RANK:?0 on the first node, 1 on the second}"
    : "${DIST_INIT_ADDR:?HOST:PORT of the first node, reachable from the second, e.g. 10.0.0.1:20000}"
    set -- --tp 16 --nnodes 2 --node-rank "$NODE_RANK" --dist-init-addr "$DIST_INIT_ADDR" "$@"
    ;;
8xb200)
    # Reported gibberish on some B200 builds (sglang #13011): run check_real_server.sh first.
    set -- --tp 8 "$@"
    ;;
*) usage ;;
esac

[ -z "${MAX_RUNNING_REQUESTS:-}" ] || set -- --max-running-requests "$MAX_RUNNING_REQUESTS" "$@"
[ -z "${KV_CACHE_DTYPE:-}" ] || set -- --kv-cache-dtype "$KV_CACHE_DTYPE" "$@"

# The first five flags are what Patchwright's client needs; `patchwright doctor --model` checks them.
set -- "${PYTHON:-python3}" -m sglang.launch_server \
    --tool-call-parser kimi_k2 \
    --reasoning-parser kimi_k2 \
    --enable-cache-report \
    --enable-metrics \
    --trust-remote-code \
    --model-path "${MODEL_PATH:-moonshotai/Kimi-K2-Thinking}" \
    --served-model-name "${SERVED_MODEL_NAME:-moonshotai/Kimi-K2-Thinking}" \
    --context-length "${CONTEXT_LENGTH:-262144}" \
    --mem-fraction-static "${MEM_FRACTION_STATIC:-0.88}" \
    --host "${HOST:-0.0.0.0}" --port "${PORT:-30000}" \
    "$@"

if [ -n "${LAUNCH_PRINT:-}" ]; then
    printf '%s\n' "$*"
else
    exec "$@"
fi
