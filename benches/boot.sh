#!/usr/bin/env bash
# Boots real guests in idem86, Bochs and QEMU TCG, one after the other, and prints user and wall time and ratios.
#
#   benches/boot.sh [freedos|linux]...        the default is both
#
# FreeDOS boots from a diskette to its prompt, Linux from a hard disk through GRUB to a shell; each says so at its
# serial port, where the clock stops. Every emulator gets the same image and as much memory, and brings its own BIOS.
# Guests come from tests/guests/fetch and IDEM86_GUESTS; peers are found on PATH. What is absent is skipped with a word.
set -euo pipefail
cd "$(dirname "$0")/.."
guests=("$@")
[ "${#guests[@]}" -gt 0 ] || guests=(freedos linux)
# The slowest of all needs minutes for Linux.
patience=${IDEM86_BENCH_PATIENCE:-1800}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
serial=$work/serial

cargo build --release --quiet --bin idem86
idem86=${CARGO_TARGET_DIR:-target}/release/idem86
bochs_share=/usr/share/bochs
[ -e "$bochs_share/BIOS-bochs-latest" ] || bochs_share=/usr/local/share/bochs

have() { command -v "$1" >/dev/null 2>&1; }

emulators=(interpreter)
"$idem86" run --engine translator --flat <(printf '\xf4') >/dev/null 2>&1 && emulators+=(translator) ||
    echo "translator: cannot run on this host, skipped"
if have bochs && have script; then emulators+=(bochs); else echo "bochs: not on PATH, skipped"; fi
if have qemu-system-i386; then emulators+=(qemu); else echo "qemu-system-i386: not on PATH, skipped"; fi

# --- emulators: drive image megabytes -> runs in the foreground, with COM1 in $serial ------------------------------------

run_idem86() { # engine drive image megabytes
    local drive=--hda
    [ "$2" = disk ] || drive=--fda
    # As in Bochs time is what the guest makes of it: nobody waits for a diskette to turn.
    exec "$idem86" run --engine "$1" $drive "$3,snapshot=on" --memory "$4M" --clock virtual --display none \
        --serial "file:$serial"
}

run_interpreter() { run_idem86 interpreter "$@"; }
run_translator() { run_idem86 translator "$@"; }

run_qemu() {
    local interface=ide
    [ "$1" = disk ] || interface=floppy
    exec qemu-system-i386 -accel tcg -display none -m "$3" -serial "file:$serial" \
        -drive "file=$2,format=raw,if=$interface,snapshot=on"
}

run_bochs() {
    cp "$2" "$work/bochs.img"
    {
        if [ "$1" = disk ]; then
            echo "ata0-master: type=disk, path=$work/bochs.img, mode=flat, cylinders=0"
            echo "boot: disk"
        else
            echo "floppya: 720k=$work/bochs.img, status=inserted"
            echo "boot: floppy"
        fi
        cat <<EOF
megs: $3
romimage: file=$bochs_share/BIOS-bochs-latest
vgaromimage: file=$bochs_share/VGABIOS-lgpl-latest
com1: enabled=1, mode=file, dev=$serial
display_library: term
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
clock: sync=none
log: $work/bochs.log
EOF
    } >"$work/bochsrc"
    # The debugger build wants to be told to go on; the terminal display wants a terminal.
    echo c >"$work/debugger"
    exec env TERM=xterm script -qec "exec bochs -q -f $work/bochsrc -rc $work/debugger" /dev/null
}

# --- measuring ---------------------------------------------------------------------------------------------------------------

# Runs an emulator until its serial port shows a match, and ends it.
boot() { # regular-expression emulator drive image megabytes
    local expected=$1 pid child end=$((SECONDS + patience)) seen=1
    rm -f "$serial"
    "run_$2" "${@:3}" >/dev/null 2>"$work/stderr" </dev/null &
    pid=$!
    until grep -qsE "$expected" "$serial"; do
        if ! kill -0 $pid 2>/dev/null || [ $SECONDS -ge $end ]; then
            seen=0
            break
        fi
        sleep 0.02
    done
    # script(1) ends with its child and so learns what time that took. Bochs answers other signals with a question.
    child=$(ps -o pid= --ppid $pid | tr -d ' ')
    kill -KILL ${child:-$pid} 2>/dev/null || true
    wait $pid 2>/dev/null || true
    [ $seen = 1 ]
}

measure() { # arguments of boot... -> "user wall", or fails
    local TIMEFORMAT='%U %R' ok
    { time { boot "$@" && ok=1 || ok=0; echo $ok >"$work/ok"; }; } 2>&1 | tail -n 1
    [ "$(cat "$work/ok")" = 1 ]
}

compare() { # name drive image megabytes expected
    local emulator times user wall ours=
    for emulator in "${emulators[@]}"; do
        if ! times=$(measure "$5" "$emulator" "$2" "$3" "$4"); then
            printf '%-10s %-12s does not get there in %s s\n' "$1" "$emulator" "$patience"
            continue
        fi
        read -r user wall <<<"$times"
        [ -n "$ours" ] || ours=$user
        printf '%-10s %-12s %9.2f %9.2f %9s\n' "$1" "$emulator" "$user" "$wall" \
            "$(awk -v t="$user" -v o="$ours" 'BEGIN { printf "%.2f", t / (o > 0 ? o : 0.01) }')x"
    done
}

# The FreeDOS diskette, which as its last act before the prompt says so at the serial port.
freedos_image() { # file
    cp "$1" "$work/freedos.img"
    chmod u+w "$work/freedos.img"
    "$idem86" run --fda "$work/freedos.img" --memory 16M --display none --clock virtual --timeout 60 \
        --do 'wait-screen ^A:.>$' --do 'type copy con up\n' --do 'type echo up >com1\n\x1a\n' --do 'sleep 1' \
        --do 'type type up>>autoexec.bat\n' --do 'sleep 1' --do quit
}

printf '%-10s %-12s %9s %9s %9s\n' guest emulator user/s wall/s ratio
for guest in "${guests[@]}"; do
    case $guest in
    freedos)
        image=${IDEM86_GUESTS:-../shared/guests}/freedos722.img
        [ -e "$image" ] || { echo "freedos: skipped, no $image"; continue; }
        freedos_image "$image"
        compare freedos floppy "$work/freedos.img" 16 '^up'
        ;;
    linux)
        image=target/guests/disk.img
        [ -e "$image" ] || { echo "linux: skipped, no $image (tests/guests/fetch)"; continue; }
        compare linux disk "$image" 128 'test system is up'
        ;;
    *)
        echo "usage: benches/boot.sh [freedos|linux]..." >&2
        exit 2
        ;;
    esac
done
echo "ratio: user time divided by that of idem86's interpreter; below 1 is faster"
