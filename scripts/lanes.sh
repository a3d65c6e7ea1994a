# Read in by scripts/test: steps beside each other. Each is a shell of its own in a process group of its own, and leaves what
# came of it in $shared/STEP: tally, failures, times, seconds. There may be $lanes of them at once.
# shellcheck shell=bash

declare -A group=() # of each step that was begun: its process, and the group of all that it starts

# begin STEP: in the background.
begin() {
    mkdir "$shared/$1"
    set -m # a group of its own
    go "$1" </dev/null &
    group[$1]=$!
    set +m
}

# go STEP: to its end. It is in a shell of its own.
go() {
    set +m
    step=$1 work=$shared/$1
    : >"$work/tally"
    trap note_times EXIT
    SECONDS=0
    "step_$1"
}

note_times() {
    times >"$work/times"
    echo "$SECONDS" >"$work/seconds"
}

# runs STEP
runs() {
    [ -n "${group[$1]:-}" ] && kill -0 "${group[$1]}" 2>/dev/null
}

# stop STATUS: when told to, with all that was begun. Meson gets time to end its tests, which have groups of their own.
stop() {
    local groups=("${group[@]/#/-}")
    trap '' INT TERM HUP
    if [ ${#groups[@]} -gt 0 ] && kill -TERM -- "${groups[@]}" 2>/dev/null; then
        for _ in {1..100}; do
            kill -0 -- "${groups[@]}" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL -- "${groups[@]}" 2>/dev/null || true
    fi
    exit "$1"
}
trap 'stop 129' HUP
trap 'stop 130' INT
trap 'stop 143' TERM

# How long the processors have worked for a step, in seconds: more telling than the time on a busy machine.
processor_seconds() {
    awk '{ for (i = 1; i <= 2; i++) { split($i, part, /[ms]/); sum += 60 * part[1] + part[2] } }
        END { printf "%d", sum }' "$1"
}

# finish STEP: waits for its end and adds up what came of it.
finish() {
    local step=$1 work=$shared/$1 status=0 passed=0 failed=0 more_passed more_failed processors
    wait "${group[$step]}" || status=$?
    unset "group[$step]"
    while read -r more_passed more_failed; do
        passed=$((passed + more_passed))
        failed=$((failed + more_failed))
    done <"$work/tally"
    if [ "$status" -ne 0 ]; then
        complain 'the step broke off'
        failed=$((failed + 1))
    fi
    if [ ! -e "$work/seconds" ]; then # it was killed
        echo 0 | tee "$work/times" >"$work/seconds"
    fi
    processors=$(processor_seconds "$work/times")
    printf -- '-- %s: %d passed, %d failed, %d s (processors: %d s)\n\n' "$step" "$passed" "$failed" \
        "$(<"$work/seconds")" "$processors"
    all_passed=$((all_passed + passed))
    all_failed=$((all_failed + failed))
    all_processors=$((all_processors + processors))
}

title() {
    printf '== %s: %s\n' "$1" "${about[$1]}"
}

# run_alone STEP: shows what it says while it says it.
run_alone() {
    title "$1"
    begin "$1"
    finish "$1"
}

# run_beside STEP...: as many at once as there are lanes, begun in this order; and in this order shows what each said.
run_beside() {
    local waiting=("$@") told=("$@") step running
    while [ ${#told[@]} -gt 0 ]; do
        running=0
        for step in "${told[@]}"; do
            ! runs "$step" || running=$((running + 1))
        done
        if [ ${#waiting[@]} -gt 0 ] && [ "$running" -lt "$lanes" ]; then
            begin "${waiting[0]}" >"$shared/${waiting[0]}.output" 2>&1
            waiting=("${waiting[@]:1}")
        elif [ -n "${group[${told[0]}]:-}" ] && ! runs "${told[0]}"; then
            title "${told[0]}"
            cat "$shared/${told[0]}.output"
            finish "${told[0]}"
            told=("${told[@]:1}")
        else
            sleep 0.2
        fi
    done
}
