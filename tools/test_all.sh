#!/bin/bash
# Go through the doors of `make test` one by one, all of them, and sum up at the end.
#
#   tools/test_all.sh DOOR...     a door is a make target; "left-out:NAME:REASON" is only reported
#
# Exits 1 when any door failed. Results of the tests themselves are pytest's to print.
set -u

passed=() failed=() left_out=()
for door in "$@"; do
    if [[ $door == left-out:* ]]; then
        left_out+=("${door#left-out:}")
        continue
    fi
    printf '\n== %s\n' "$door"
    if "${MAKE:-make}" --no-print-directory "$door"; then
        passed+=("$door")
    else
        failed+=("$door")
    fi
done

printf '\n== summary\n'
for door in "${passed[@]}"; do printf 'passed    %s\n' "$door"; done
for door in "${left_out[@]}"; do printf 'left out  %s: %s\n' "${door%%:*}" "${door#*:}"; done
for door in "${failed[@]}"; do printf 'FAILED    %s\n' "$door"; done
if ((${#failed[@]})); then
    printf 'make test failed: %s\n' "${failed[*]}"
    exit 1
fi
if ((${#left_out[@]})); then
    printf 'make test passed what could run here\n'
else
    printf 'make test passed\n'
fi
