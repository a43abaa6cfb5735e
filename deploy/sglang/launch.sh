#!/bin/sh
# Start one SGLang server:  launch.sh 8xh200 | 2x8xh100 | 8xb200 | a name in the file recipes  [flags…]
# The first three serve Kimi K2 Thinking.
#
# The variables are in sglang.env.example. With LAUNCH_PRINT=1 the command is printed, not run.
# Further flags are passed on. Figures for the hardware: docs/capacity.md.
set -eu

usage() {
    echo "usage: launch.sh 8xh200 | 2x8xh100 | 8xb200 | NAME in recipes [further flags of sglang.launch_server]" >&2
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
*)
    recipe=$(awk -v name="$hardware" '$1 == name { print; exit }' "$(dirname "$0")/recipes")
    [ -n "$recipe" ] || usage
    flags=
    # Words of the recipe, none of which has a space or a wildcard in it.
    for word in ${recipe#* }; do
        case $word in
        [A-Z]*=*) export "$word" ;;
        *) flags="$flags $word" ;;
        esac
    done
    case $flags in
    *--nnodes*)
        : "${NODE_RANK:?0 on the first node, 1 on the second}"
        : "${DIST_INIT_ADDR:?HOST:PORT of the first node, reachable from the second, e.g. 10.0.0.1:20000}"
        flags="$flags --node-rank $NODE_RANK --dist-init-addr $DIST_INIT_ADDR"
        ;;
    esac
    more=$*
    # shellcheck disable=SC2086
    set -- $flags
    model=$1 parsers=$2 context=$3 fraction=$4
    shift 4
    # shellcheck disable=SC2086
    set -- "$@" $more
    ;;
esac

# Options for any of them. HiCache: docs.sglang.io/docs/advanced_features/hicache_best_practices
if [ -n "${HICACHE_RATIO:-}" ]; then
    set -- --page-size 64 --enable-hierarchical-cache --hicache-ratio "$HICACHE_RATIO" \
        --hicache-write-policy write_through "$@"
    # A Mooncake store, which MOONCAKE_MASTER and the other MOONCAKE_… variables name.
    [ -z "${HICACHE_STORAGE:-}" ] || set -- --hicache-storage-backend "$HICACHE_STORAGE" \
        --hicache-storage-prefetch-policy timeout "$@"
fi
# Prefill and decode apart: docs.sglang.io/docs/advanced_features/pd_disaggregation
if [ -n "${PD_MODE:-}" ]; then
    set -- --disaggregation-mode "$PD_MODE" --disaggregation-transfer-backend mooncake "$@"
    [ -z "${PD_IB_DEVICE:-}" ] || set -- --disaggregation-ib-device "$PD_IB_DEVICE" "$@"
fi
# A draft model: EAGLE3 for K2.5 to K2.7, DSPARK for K3, as the cookbook has them.
if [ -n "${DRAFT_MODEL:-}" ]; then
    if [ "${parsers:-kimi_k2}" = kimi_k3 ]; then
        set -- --speculative-algorithm DSPARK --speculative-dspark-block-size 7 \
            --speculative-draft-model-path "$DRAFT_MODEL" "$@"
    else
        set -- --speculative-algorithm EAGLE3 --speculative-num-steps 3 --speculative-eagle-topk 1 \
            --speculative-num-draft-tokens 4 --speculative-draft-model-path "$DRAFT_MODEL" "$@"
    fi
fi
# Attention groups: read docs/capacity.md first.
[ -z "${ATTN_DP_SIZE:-}" ] || set -- --attn-dp-size "$ATTN_DP_SIZE" "$@"

[ -z "${MAX_RUNNING_REQUESTS:-}" ] || set -- --max-running-requests "$MAX_RUNNING_REQUESTS" "$@"
[ -z "${KV_CACHE_DTYPE:-}" ] || set -- --kv-cache-dtype "$KV_CACHE_DTYPE" "$@"

# The first five flags are what Patchwright's client needs; `patchwright doctor --model` checks them.
set -- "${PYTHON:-python3}" -m sglang.launch_server \
    --tool-call-parser "${parsers:-kimi_k2}" \
    --reasoning-parser "${parsers:-kimi_k2}" \
    --enable-cache-report \
    --enable-metrics \
    --trust-remote-code \
    --model-path "${MODEL_PATH:-${model:-moonshotai/Kimi-K2-Thinking}}" \
    --served-model-name "${SERVED_MODEL_NAME:-${model:-moonshotai/Kimi-K2-Thinking}}" \
    --context-length "${CONTEXT_LENGTH:-${context:-262144}}" \
    --mem-fraction-static "${MEM_FRACTION_STATIC:-${fraction:-0.88}}" \
    --host "${HOST:-0.0.0.0}" --port "${PORT:-30000}" \
    "$@"

if [ -n "${LAUNCH_PRINT:-}" ]; then
    printf '%s\n' "$*"
else
    exec "$@"
fi
