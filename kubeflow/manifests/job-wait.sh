#!/bin/sh
# Waits for the end of a Job, where `kubectl wait` would wait on after a failure: job-wait.sh NAMESPACE JOB [SECONDS]
# Shows its log. Ends with 0 if the Job is complete, with 1 if it failed, is not there, or has not ended in time.
set -eu
[ $# -ge 2 ] || { echo "usage: job-wait.sh NAMESPACE JOB [SECONDS]" >&2; exit 2; }
namespace=$1
job=$2
deadline=$(($(date +%s) + ${3:-600}))
while :; do
    conditions=$(kubectl --namespace "$namespace" get job "$job" \
        --output 'jsonpath={range .status.conditions[?(@.status=="True")]}{.type} {end}')
    case " $conditions" in
        *" Complete "*) result=0 ;;
        *" Failed "*) result=1 ;;
        *) result= ;;
    esac
    [ -z "$result" ] || break
    if [ "$(date +%s)" -ge "$deadline" ]; then
        echo "job $job has not ended within ${3:-600} s; its pods:" >&2
        kubectl --namespace "$namespace" get pods --selector "job-name=$job" >&2
        exit 1
    fi
    sleep 2
done
kubectl --namespace "$namespace" logs --selector "job-name=$job" --tail=20 || true
[ "$result" = 0 ] || echo "job $job failed" >&2
exit "$result"
