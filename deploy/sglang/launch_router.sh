#!/bin/sh
# Start the router in front of the servers:  launch_router.sh http://NODE:30000 [http://NODE2:30000 …]
# or, in Kubernetes, with the flags of service discovery. LAUNCH_PRINT=1 prints the command.
set -eu

# Prefill and decode apart: PREFILL_URLS and DECODE_URLS in place of URLs, separated by spaces; each
# prefill server's bootstrap port is SGLang's default.
if [ -n "${PREFILL_URLS:-}" ]; then
    set -- --pd-disaggregation
    for url in $PREFILL_URLS; do set -- "$@" --prefill "$url" 8998; done
    for url in ${DECODE_URLS:?the decode servers}; do set -- "$@" --decode "$url"; done
fi
[ $# -ge 1 ] || {
    echo "usage: launch_router.sh URL… | --service-discovery …" >&2
    exit 64
}
case $1 in
--*) ;;
*) set -- --worker-urls "$@" ;;
esac

# manual + min_group: a run (its X-SMG-Routing-Key) stays on the server that has its prefix cached,
# a new one goes to the server with the fewest runs. cache_aware puts short prompts all on one.
# A turn may think for long: the time limit is generous, the client has its own for silence.
set -- "${PYTHON:-python3}" -m sglang_router.launch_router \
    --policy manual --assignment-mode min_group --max-idle-secs 14400 \
    --host "${ROUTER_HOST:-0.0.0.0}" --port "${ROUTER_PORT:-8000}" \
    --prometheus-host "${PROMETHEUS_HOST:-0.0.0.0}" --prometheus-port "${PROMETHEUS_PORT:-29000}" \
    --health-check-interval-secs 5 --health-failure-threshold 3 --health-success-threshold 1 \
    --cb-timeout-duration-secs 15 \
    --retry-max-retries 2 \
    --max-concurrent-requests "${MAX_CONCURRENT_REQUESTS:-256}" \
    --queue-size 256 --queue-timeout-secs 120 \
    --request-timeout-secs 3600 --worker-startup-timeout-secs 7200 \
    "$@"

if [ -n "${LAUNCH_PRINT:-}" ]; then
    printf '%s\n' "$*"
else
    exec "$@"
fi
