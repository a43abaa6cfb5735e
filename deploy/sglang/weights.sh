#!/bin/sh
# The model's weights, ahead of the first start; also for machines without a network.
#
#   weights.sh fetch FOLDER [REVISION]   download into FOLDER (about 600 GB), then write SHA256SUMS
#   weights.sh sums FOLDER               write FOLDER/SHA256SUMS for files that are there
#   weights.sh verify FOLDER             compare FOLDER with its SHA256SUMS and config.json
#
# Air-gapped: fetch on a machine with a network, carry FOLDER over (disk, rsync), verify there, and
# start with MODEL_PATH=FOLDER and HF_HUB_OFFLINE=1. A fetch that broke off is taken up again.
set -eu

usage() {
    sed -n '4,6s/^# *//p' "$0" >&2
    exit 64
}

sums() {
    cd "$1"
    find . -type f ! -name SHA256SUMS ! -name SHA256SUMS.part ! -path './.cache/*' -print0 |
        sort -z | xargs -0 sha256sum >SHA256SUMS.part
    mv SHA256SUMS.part SHA256SUMS
    echo "$(wc -l <SHA256SUMS) files noted in $1/SHA256SUMS"
}

verify() {
    cd "$1"
    [ -s config.json ] || {
        echo "$1: there is no config.json: these are not a model's weights" >&2
        exit 1
    }
    [ -s SHA256SUMS ] || {
        echo "$1: there is no SHA256SUMS: run 'weights.sh sums' where the files were fetched" >&2
        exit 1
    }
    sha256sum --quiet --strict --check SHA256SUMS || {
        echo "$1: files are missing or damaged: carry them over again" >&2
        exit 1
    }
    echo "$(wc -l <SHA256SUMS) files are whole"
}

[ $# -ge 2 ] || usage
folder=$2
case $1 in
fetch)
    command -v hf >/dev/null || {
        echo "the command hf is missing: pip install 'huggingface_hub>=1'" >&2
        exit 69
    }
    mkdir -p "$folder"
    hf download "${MODEL_ID:-moonshotai/Kimi-K2-Thinking}" --revision "${3:-main}" --local-dir "$folder"
    sums "$folder"
    ;;
sums) sums "$folder" ;;
verify) verify "$folder" ;;
*) usage ;;
esac
