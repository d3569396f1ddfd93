# SPDX-License-Identifier: Apache-2.0
# Runs the stages of `./do test`, keeps times and counts, prints the table. A stage is a function stage_NAME.

declare -A stage_result stage_seconds stage_counts stage_pid
stage_order=()
test_began=$(date +%s)

# Where a stage leaves what count_tests.py reads.
counted_file() {
    case $1 in
    gcc | aarch64 | asan | tsan) echo "build/$1/junit.xml" ;;
    nest | nest_aarch64 | nest_asan | nest_tsan) echo "build/$1.json" ;;
    esac
}

# In a shell of its own: `set -e` does not hold in a function whose result somebody asks for.
run_stage() {
    local began=$SECONDS code=0
    bash -euo pipefail -c '. tools/lib.sh; . tools/setup.sh; . tools/stages.sh; "stage_$0"' "$1" \
        >"build/log/$1.log" 2>&1 </dev/null || code=$?
    echo "$((SECONDS - began))" >"build/log/$1.seconds"
    return "$code"
}

settle() {
    local name=$1 code=$2 file
    stage_result[$name]=ok
    [ "$code" = 0 ] || stage_result[$name]=FAIL
    stage_seconds[$name]=$(cat "build/log/$name.seconds")
    file=$(counted_file "$name")
    if [ -n "$file" ]; then
        stage_counts[$name]=$(python3 tools/count_tests.py "$name" "$file" 2>>"build/log/$name.log") ||
            stage_result[$name]=FAIL
    fi
    printf '== %-12s %-4s %5s s  %s\n' "$name" "${stage_result[$name]}" "${stage_seconds[$name]}" \
        "$(said "${stage_counts[$name]:-}")"
    if [ "${stage_result[$name]}" = FAIL ]; then
        printf '   the end of build/log/%s.log:\n' "$name"
        tail -n 60 "build/log/$name.log" | sed 's/^/   | /'
    fi
}

said() {
    # shellcheck disable=SC2086  # three numbers
    [ -z "$1" ] || printf '%s passed, %s failed, %s skipped' $1
}

# stage NAME: runs it and waits. beside NAME: starts it; join NAME: waits for it.
stage() {
    local code=0
    stage_order+=("$1")
    printf '== %s ...\n' "$1"
    run_stage "$1" || code=$?
    settle "$1" "$code"
}

beside() {
    stage_order+=("$1")
    run_stage "$1" &
    stage_pid[$1]=$!
}

join() {
    local code=0
    wait "${stage_pid[$1]}" || code=$?
    settle "$1" "$code"
}

# The time table; the last line is for machines too. Fails if a stage did.
table() {
    local name passed=0 failed=0 skipped=0 broken=() p f s
    printf '\n%-12s %-6s %7s  %s\n' stage result seconds tests
    for name in "${stage_order[@]}"; do
        printf '%-12s %-6s %7s  %s\n' "$name" "${stage_result[$name]}" "${stage_seconds[$name]}" \
            "$(said "${stage_counts[$name]:-}")"
        read -r p f s <<<"${stage_counts[$name]:-0 0 0}"
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
        [ "${stage_result[$name]}" = ok ] || broken+=("$name")
    done
    printf '%-12s %-6s %7s\n\n' all "" $(($(date +%s) - test_began))
    [ ${#broken[@]} = 0 ] || printf 'stages that failed: %s\n' "${broken[*]}"
    printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
    [ ${#broken[@]} = 0 ] && [ "$failed" = 0 ]
}
