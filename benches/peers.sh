#!/usr/bin/env bash
# Runs the benchmark guests in idem86, Bochs and QEMU TCG side by side and prints times and ratios.
#
#   benches/peers.sh [ROUNDS_FACTOR]
#
# A guest's time is the user time of the whole process minus that of the same image with no rounds, so that starting
# up and POST do not count. Peers are found on PATH and skipped with a word where they are absent.
set -euo pipefail
cd "$(dirname "$0")/.."
factor=${1:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --release --quiet --bin idem86 --example bench_guest
release=${CARGO_TARGET_DIR:-target}/release
bochs_share=/usr/share/bochs
[ -e "$bochs_share/BIOS-bochs-latest" ] || bochs_share=/usr/local/share/bochs

have() { command -v "$1" >/dev/null 2>&1; }

user_time() { # command... -> seconds of user time, children included
    local TIMEFORMAT=%U
    { time "$@" >/dev/null 2>"$work/stderr" </dev/null; } 2>&1 | tail -n 1
}

run_idem86() { user_time "$release/idem86" run --flat "$1" --memory 32M; }

run_bochs() {
    cat >"$work/bochsrc" <<EOF
megs: 32
romimage: file=$bochs_share/BIOS-bochs-latest
vgaromimage: file=$bochs_share/VGABIOS-lgpl-latest
floppya: 1_44=$1, status=inserted
boot: floppy
display_library: term
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
clock: sync=none
log: $work/bochs.log
EOF
    echo c >"$work/debugger"
    # The terminal display wants a terminal; the debugger build wants to be told to go on.
    user_time env TERM=xterm script -qec "bochs -q -f $work/bochsrc -rc $work/debugger" /dev/null
}

run_qemu() {
    user_time qemu-system-i386 -accel tcg -display none -m 32 -drive "file=$1,format=raw,if=floppy" \
        -device isa-debug-exit,iobase=0xf4
}

peers=()
if have bochs && have script; then peers+=(bochs); else echo "bochs: not on PATH, skipped"; fi
if have qemu-system-i386; then peers+=(qemu); else echo "qemu-system-i386: not on PATH, skipped"; fi

net() { # runner guest rounds -> seconds
    local full empty
    "$release/examples/bench_guest" "$2" "$3" "$work/full.img"
    "$release/examples/bench_guest" "$2" 0 "$work/empty.img"
    full=$(run_"$1" "$work/full.img")
    empty=$(run_"$1" "$work/empty.img")
    awk -v f="$full" -v e="$empty" 'BEGIN { d = f - e; if (d < 0.01) d = 0.01; printf "%.2f", d }'
}

printf '%-10s %10s' guest idem86
for peer in "${peers[@]}"; do printf ' %10s %8s' "$peer" ratio; done
printf '\n'
for guest in real16:5000 loop32:1500 sieve32:600 calls32:2500 mixed32:500 paged32:500 packed32:4000 float32:1500 stack32:1500; do
    name=${guest%:*}
    rounds=$((${guest#*:} * factor))
    ours=$(net idem86 "$name" "$rounds")
    printf '%-10s %9ss' "$name" "$ours"
    for peer in "${peers[@]}"; do
        theirs=$(net "$peer" "$name" "$rounds")
        printf ' %9ss %7sx' "$theirs" "$(awk -v t="$theirs" -v o="$ours" 'BEGIN { printf "%.2f", t / o }')"
    done
    printf '\n'
done
echo "ratio: the peer's time divided by ours; above 1 we are faster"
