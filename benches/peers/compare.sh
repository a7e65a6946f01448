#!/usr/bin/env bash
# Runs the oracle workloads on SimGrid and on migtwin by turns, and prints what each finds and what it
# costs as a Markdown table.
#
# Why: figures on which engines agree that others wrote show more than tests against ourselves, and
# a time means something only beside another one from the same machine and minute. By turns, so
# that what else runs there falls on both; processor time of the whole process, by median.
#
#   benches/peers/compare.sh [DRIVER [RUNS]]
#
# DRIVER: simgrid_drain.cpp or the directory that holds it and plat64.xml; ../shared/peers beside this
# repository unless given. It is not part of this repository. RUNS: of each, 7 unless given.
# Exit status: 0 printed; 1 the engines disagree; 2 bad input; 3 something is missing here.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
driver=${1:-$root/../shared/peers}
runs=${2:-7}

# The model on which the engines agree: links shared max-min with no protocol's factors (CM02), no
# TCP window, no acknowledgements in the way of the other direction.
model=(--cfg=network/model:CM02 --cfg=network/TCP-gamma:0 --cfg=network/crosstraffic:0)
# SimGrid at its best over these workloads: stacks of 64 KiB, not 8 MiB, save it a quarter of the
# rolling drain. (Without guard pages as well, that gets quicker still, but the bursts take twice the memory.)
best=(--cfg=contexts/stack-size:64)

# Largest relative difference at which the engines agree. SimGrid prints six digits after the point,
# of the pause (in ms) four.
tolerance=1e-6
tolerance_pause=2e-5

fail() { echo "compare.sh: $2" >&2; exit "$1"; }

check_arguments() {
    [[ $# -le 2 ]] || fail 2 "too many arguments; usage: compare.sh [DRIVER [RUNS]]"
    [[ -f $driver ]] && driver=$(dirname "$driver")
    [[ -f $driver/simgrid_drain.cpp && -f $driver/plat64.xml ]] ||
        fail 2 "no simgrid_drain.cpp and plat64.xml in $driver; give their directory as the first argument"
    [[ $runs =~ ^[1-9][0-9]?$ ]] || fail 2 "RUNS must be a number from 1 to 99, not '$runs'"
}

need_packages() {
    local missing=()
    command -v g++ >/dev/null || missing+=(g++)
    [[ -e /usr/include/simgrid/s4u.hpp ]] || missing+=(libsimgrid-dev)
    [[ ${#missing[@]} -gt 0 ]] || return 0
    [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null ||
        fail 3 "missing: ${missing[*]} (Debian's names); install them, or run this as root on Debian"
    echo "compare.sh: installing ${missing[*]}" >&2
    { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >&2 ||
        fail 3 "apt-get could not install ${missing[*]}"
}

build() {
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    g++ -O2 -o "$scratch/simgrid_drain" "$driver/simgrid_drain.cpp" -lsimgrid
    cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p benches --bin oracle
    oracle=${CARGO_TARGET_DIR:-$root/target}/release/oracle
}

# Prints the processor seconds, user's and system's, that a command takes; its output goes to a file.
cpu_seconds() {
    local output=$1 TIMEFORMAT='%3U %3S'
    shift
    { time "$@" >"$output" 2>"$output.errors"; } 2>&1 | awk '{ print $1 + $2 }'
}

median() { sort -g "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

# simgrid_figures FILE, oracle_figures FILE: makespan, migration, downtime, rounds, 10^6 bytes resident.
simgrid_figures() {
    sed -nE 's/.* makespan=([^ ]+) mean_mig=([^ ]+) mean_down_ms=([^ ]+) .* rounds=([0-9]+) .* rss=([0-9.]+)MB.*/\1 \2 \3 \4 \5/p' "$1" |
        awk '{ $5 *= 1.048576; print }' OFMT=%.1f
}

oracle_figures() {
    local key
    for key in makespan_s mean_migration_s mean_downtime_ms rounds peak_rss_mb; do
        printf '%s\n' "$(sed -nE "s/.*\"$key\":([0-9.e+-]+).*/\1/p" "$1")"
    done | paste -sd ' '
}

# compare_rows TURNS SHAPE VMS LIMIT SCALE: runs both by turns and prints the table's rows.
compare_rows() {
    local turns=$1 shape=$2 vms=$3 limit=$4 scale=$5 turn
    local theirs=$scratch/$shape$vms.simgrid ours=$scratch/$shape$vms.migtwin
    for ((turn = 0; turn < turns; turn++)); do
        cpu_seconds "$theirs" "$scratch/simgrid_drain" "$driver/plat64.xml" flows "$shape" 64 "$vms" "$limit" \
            hetero "$scale" "${model[@]}" "${best[@]}" >>"$theirs.cpu"
        cpu_seconds "$ours" "$oracle" "$shape" --hosts 64 --vms "$vms" --limit "$limit" \
            --dirty-scale "$scale" >>"$ours.cpu"
    done
    print_rows "$shape $vms" "$(simgrid_figures "$theirs") $(median "$theirs.cpu")" \
        "$(oracle_figures "$ours") $(median "$ours.cpu")"
}

# Fields: 1 makespan, 2 migration, 3 downtime, 4 rounds, 5 memory, 6 processor time.
print_rows() {
    awk -v name="$1" -v theirs="$2" -v ours="$3" -v near="$tolerance" -v near_pause="$tolerance_pause" '
        function row(who, f) {
            printf "| %s | %s | %.6f | %.6f | %.4f | %d | %.3f | %.1f |\n", name, who, f[1], f[2], f[3], f[4], f[6], f[5]
        }
        function off(i) { return (o[i] - t[i]) / t[i] }
        function size(x) { return x < 0 ? -x : x }
        BEGIN {
            if (split(theirs, t) != 6 || split(ours, o) != 6) { print "no figures: " theirs " / " ours > "/dev/stderr"; exit 1 }
            row("SimGrid", t); row("migtwin", o)
            printf "| | difference | %.0e | %.0e | %.0e | %d | × %.2f | × %.2f |\n", off(1), off(2), off(3), o[4] - t[4], o[6] / t[6], o[5] / t[5]
            exit size(off(1)) > near || size(off(2)) > near || size(off(3)) > near_pause || o[4] != t[4]
        }'
}

check_arguments "$@"
need_packages
build
version=$("$scratch/simgrid_drain" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1 || true)
echo "SimGrid ${version:-of unknown version} beside migtwin, $(date -u +%F), $(nproc) cores, medians of $runs runs by turns (burst 4000: one)"
echo
echo "| workload | engine | makespan s | mean migration s | mean downtime ms | rounds | CPU s | peak RSS MB |"
echo "|---|---|---:|---:|---:|---:|---:|---:|"
agree=yes
compare_rows "$runs" rolling 8000 2 1 || agree=no
compare_rows "$runs" burst 1000 0 0.01 || agree=no
# Once: it takes SimGrid about 20 s.
compare_rows 1 burst 4000 0 0.01 || agree=no
[[ $agree == yes ]] || fail 1 "the engines disagree by more than $tolerance (pause: $tolerance_pause)"
