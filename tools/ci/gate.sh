#!/bin/sh
# gate.sh: judges a model by labelled photographs, in a job of a CI system. It reads the environment:
#   MODEL    folder of a SavedModel, or "production" or "staged" of the workspace
#   DATA     folder of photographs that no model was trained on, one sub-folder per class
#   CONFIG   configuration, TOML; empty for the defaults
#   RESULTS  folder that receives report.html, report.json, summary.json and gates.xml; "gate" if empty
# It ends with the exit code of `crackgate gate`: 0 passed, 3 refused, 4 the data was rejected, 2 wrong input.
set -eu
: "${MODEL:?is not set: give the folder of a SavedModel}" "${DATA:?is not set: give a folder of photographs}"
RESULTS=${RESULTS:-gate}
workspace=${WORKSPACE:-$(mktemp -d)}

code=0
crackgate gate --model "$MODEL" --data "$DATA" --workspace "$workspace" ${CONFIG:+--config "$CONFIG"} || code=$?

# The newest run: none, where the input was wrong.
run=$(ls -d "$workspace"/runs/*/ 2>/dev/null | tail -n 1)
if [ -n "$run" ]; then
    mkdir -p "$RESULTS"
    for file in report.html report.json summary.json gates.xml; do
        [ ! -e "$run$file" ] || cp "$run$file" "$RESULTS/"
    done
    echo "results in $RESULTS/"
fi
exit "$code"
