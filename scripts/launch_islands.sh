#!/usr/bin/env bash
# An archipelago without a launcher: `for i in {1..20}; do evolab evolve island-$i … & done`, grown up.
#
#   scripts/launch_islands.sh [-n ISLANDS] [-t THREADS] [-N NAME] [-d MIGRATION_DIR] [-l LOG_DIR] [-P] [-- OPTIONS OF evolab evolve]
#   scripts/launch_islands.sh -n 20 -d shared/mine -- -p 250 -g 150
#
# Every island gets its threads limited before it starts and a core of its own (-P: no pinning), a log and a line in
# LOG_DIR/pids. The script waits for all of them and exits with 0 if every island finished, 1 if one did not,
# 2 on wrong usage, 130/143 when stopped: Ctrl-C and SIGTERM let the islands write a checkpoint first.
# The same command again goes on where they stopped. EVOLAB names the command to use instead of `evolab`.
set -u -o pipefail

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
}

refuse() {
    printf 'launch_islands: %s\n' "$1" >&2
    exit 2
}

# The cores this shell may use, one a line: the affinity mask's, not the machine's.
usable_cores() {
    local list part
    list=$(taskset -cp $$ | sed 's/.*: //')
    for part in ${list//,/ }; do
        seq "${part%-*}" "${part#*-}"
    done
}

islands=
threads=1
name=island
migration_dir=shared
log_dir=logs
pin=yes
while getopts 'n:t:N:d:l:Ph' option; do
    case $option in
        n) islands=$OPTARG ;;
        t) threads=$OPTARG ;;
        N) name=$OPTARG ;;
        d) migration_dir=$OPTARG ;;
        l) log_dir=$OPTARG ;;
        P) pin=no ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))

command -v taskset >/dev/null || refuse 'taskset is missing: install util-linux, or use evolab launch'
mapfile -t cores < <(usable_cores)
[[ $threads =~ ^[1-9][0-9]*$ ]] || refuse "-t: expected a number of threads from 1, got '$threads'"
: "${islands:=$((${#cores[@]} / threads > 0 ? ${#cores[@]} / threads : 1))}"
[[ $islands =~ ^[1-9][0-9]*$ ]] || refuse "-n: expected a number of islands from 1, got '$islands'"
read -r -a evolab <<<"${EVOLAB:-evolab}"
command -v "${evolab[0]}" >/dev/null || refuse "${evolab[0]} is missing: pip install evolution-lab"
mkdir -p "$log_dir" "$migration_dir" || refuse "cannot write $log_dir or $migration_dir"

export OMP_NUM_THREADS=$threads MKL_NUM_THREADS=$threads OPENBLAS_NUM_THREADS=$threads
export NUMEXPR_NUM_THREADS=$threads NUMBA_NUM_THREADS=$threads

# The cores of island $1: `threads` of them, round-robin when the islands outnumber them.
cores_of() {
    local rooms=$((${#cores[@]} / threads)) first
    if ((rooms == 0)); then
        (IFS=,; echo "${cores[*]}")
        return
    fi
    first=$((($1 - 1) % rooms * threads))
    (IFS=,; echo "${cores[*]:first:threads}")
}

pids=()
stopped=0
stop() {
    stopped=$1
    printf 'launch_islands: stopping, the islands write their checkpoints\n' >&2
    ((${#pids[@]} == 0)) || kill -TERM "${pids[@]}" 2>/dev/null
}
trap 'stop 130' INT
trap 'stop 143' TERM

: >"$log_dir/pids"
for ((i = 1; i <= islands; i++)); do
    ((stopped == 0)) || break
    run=("${evolab[@]}" evolve "$name-$i" --migration-dir "$migration_dir" "$@")
    if [[ $pin == yes ]]; then
        run=(taskset -c "$(cores_of "$i")" "${run[@]}")
    fi
    "${run[@]}" >"$log_dir/$name-$i.log" 2>&1 </dev/null &
    pids+=($!)
    printf '%s %s\n' "$name-$i" $! >>"$log_dir/pids"
done
printf 'launch_islands: %d islands on %d cores, logs in %s\n' "${#pids[@]}" "${#cores[@]}" "$log_dir" >&2

failed=0
for index in "${!pids[@]}"; do
    wait "${pids[index]}"
    code=$?
    while ((code > 128)) && kill -0 "${pids[index]}" 2>/dev/null; do # a signal to us, not the island's end
        wait "${pids[index]}"
        code=$?
    done
    if ((code != 0)); then
        failed=1
        printf 'launch_islands: %s-%d ended with %d: %s\n' \
            "$name" $((index + 1)) "$code" "$(tail -n 1 "$log_dir/$name-$((index + 1)).log")" >&2
    fi
done
((stopped == 0)) || exit "$stopped"
exit "$failed"
