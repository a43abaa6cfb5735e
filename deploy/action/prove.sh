#!/bin/sh
# Runs `patchwright prove` for action.yml: its reports in a folder, its text in the job's summary.
set -eu
reports="$RUNNER_TEMP/patchwright-proof"
mkdir -p "$reports"
status=0
"$PATCHWRIGHT" prove "$FOLDER" --base="$BASE" --head="$HEAD" --test-command="$TEST_COMMAND" \
    --json "$reports/proof.json" --junit "$reports/proof.xml" --sarif "$reports/proof.sarif" \
    >"$reports/proof.txt" || status=$?
cat "$reports/proof.txt"
echo "reports=$reports" >>"$GITHUB_OUTPUT"
[ "$status" = 0 ] || [ "$status" = 2 ] || exit "$status"
verdict=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["verdict"])' \
    "$reports/proof.json")
echo "verdict=$verdict" >>"$GITHUB_OUTPUT"
# Indented: as code, nothing that a test's name says is Markdown.
{ echo "### Patchwright proof: $verdict"; echo; sed 's/^/    /' "$reports/proof.txt"; } \
    >>"$GITHUB_STEP_SUMMARY"
if [ "$REQUIRED" = false ] && [ "$verdict" = unproven ]; then exit 0; fi
exit "$status"
