#!/bin/sh
# gate.sh: judges a model by labelled photographs, in a job of a CI system. It reads the environment:
#   MODEL    folder of a SavedModel
#   DATA     folder of photographs that no model was trained on, one sub-folder per class
#   CONFIG   configuration, TOML; empty for the defaults
#   RESULTS  folder that receives report.html, report.json, summary.json and gates.xml; "gate" if empty
# It ends with the exit code of `crackgate gate`: 0 passed, 3 refused, 4 the data was rejected, 2 wrong input.
set -eu
: "${MODEL:?is not set: give the folder of a SavedModel}" "${DATA:?is not set: give a folder of photographs}"
RESULTS=${RESULTS:-gate}
files="report.html report.json summary.json gates.xml"
# Those of an earlier job say nothing about this one.
for file in $files; do
    rm -f "$RESULTS/$file"
done
workspace=$(mktemp -d)

code=0
crackgate gate --model "$MODEL" --data "$DATA" --workspace "$workspace" ${CONFIG:+--config "$CONFIG"} || code=$?

for file in $files; do
    # There is no run, and none of them, where the input was wrong.
    for made in "$workspace"/runs/*/"$file"; do
        [ ! -e "$made" ] || { mkdir -p "$RESULTS" && cp "$made" "$RESULTS/" && echo "written $RESULTS/$file"; }
    done
done
case $code in
    0 | 2 | 3 | 4) rm -rf "$workspace" ;; # its log tells about anything else
esac
exit "$code"
