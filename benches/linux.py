#!/usr/bin/env python3
"""Runs the same workloads in one Linux guest, in idem86 and QEMU TCG, and natively; prints times and ratios.

The guest is Debian's i386 kernel with a RAM disk that holds one program: a static 32-bit binary, as /init. The host
runs that very binary. The program prints markers around each workload; this script takes the time as they arrive, by the
host's monotonic clock: no clock of a guest is ever looked at. Each workload's number of rounds is raised until it takes
long enough to be measured in that runner, and what is compared is the time of a round. Its checksum has to be the
native one for the same number of rounds.

Standard library only. See benches/README.md.
"""

import argparse
import collections
import json
import math
import os
import pathlib
import platform
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = PROJECT / "benches" / "guests" / "linux"

Group = collections.namedtuple(
    "Group", "title workloads against_qemu against_native none_slower", defaults=[None, False]
)

# The goals of a group hold for the translator: at least so many times as fast as QEMU, at most so many times the native
# time, both as geometric means. `None`: no goal.
GROUPS = [
    Group(
        "integer",
        ["crc32", "sha256", "sieve", "matmul", "text", "fib", "virtual", "vm-switch", "vm-goto"],
        4.5,
        1.4,
    ),
    Group(
        "float-string",
        ["nbody-x87", "nbody-sse", "sse-floats", "sse-integers", "rep-dwords", "rep-bytes", "lods-stos"],
        12,
        1.3,
    ),
    Group("memory", ["sort", "chase", "stream"], 2, 1.8),
    Group(
        "system",
        ["syscall-int80", "syscall-vdso", "pipe", "fork", "exec", "page-fault", "signal", "files"],
        2,
        none_slower=True,
    ),
    Group("rewriting", ["jit-rewrite"], 5),
    Group("fresh-code", ["fresh-code"], 5),
]
BOOT_AGAINST_QEMU = 2
EXTRA_MEMORY_MIB = 150

# Libraries choose their code by the processor, so that one binary would do different things: no workload's loop may
# become a call. `-idirafter` finds asm/*.h where only the 64-bit headers are installed.
CFLAGS = [
    "-m32", "-march=i686", "-O2", "-static", "-std=gnu11", "-Wall", "-Wextra",
    "-fno-tree-loop-distribute-patterns", "-fno-builtin-memset", "-fno-math-errno",
]  # fmt: skip


class Failure(Exception):
    """A runner or a workload that did not do what it should."""


# --- the guest --------------------------------------------------------------------------------------------------------


def build_program(directory):
    """Compiles the workloads, or says what is missing."""
    program = directory / "init"
    multiarch = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True).stdout.strip()
    command = ["gcc", *CFLAGS, *(["-idirafter", f"/usr/include/{multiarch}"] if multiarch else []), "-o", program]
    result = subprocess.run([*command, *sorted(SOURCES.glob("*.c"))], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{result.stderr}\nThe workloads do not build: is the package gcc-multilib installed?")
    if result.stderr:
        print(result.stderr, file=sys.stderr)
    return program


def build_initramfs(directory, program):
    """Packs the program as /init, with a console, in cpio's format `newc` (cpio(5), "New ASCII Format")."""
    archive = bytearray()

    def put(name, mode, content=b"", device=(0, 0)):
        header = [len(archive) + 1, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0]
        archive.extend(b"070701" + b"".join(b"%08x" % field for field in header) + name.encode() + b"\0")
        archive.extend(b"\0" * (-len(archive) % 4))
        archive.extend(content)
        archive.extend(b"\0" * (-len(archive) % 4))

    put("dev", 0o040755)
    put("dev/console", 0o020600, device=(5, 1))
    put("init", 0o100755, program.read_bytes())
    put("TRAILER!!!", 0)
    path = directory / "initramfs"
    path.write_bytes(archive)
    return path


def find_kernel(given):
    if given:
        return pathlib.Path(given)
    folders = [os.environ.get("IDEM86_GUESTS"), PROJECT / "target" / "guests", PROJECT / ".." / "shared" / "guests"]
    for folder in filter(None, folders):
        path = pathlib.Path(folder) / "linux" / "vmlinuz"
        if path.exists():
            return path
    sys.exit("No kernel: tests/guests/fetch brings it, or name one with --kernel.")


# --- runners ----------------------------------------------------------------------------------------------------------


# Of a boot or a run: how long it took, and whether the process had to wait for a processor for much of that.
Sample = collections.namedtuple("Sample", "seconds disturbed")
DISTURBED = 0.05


class Runner:
    """A process that takes commands on standard input and prints markers: the program itself, or an emulator."""

    def __init__(self, name, command, options):
        self.name, self.command = name, [str(word) for word in command]
        self.limit, self.discount_waiting = options.limit, options.discount_waiting
        self.emulator = name != "native"
        self.process = None
        self.boots = []  # samples from the start of the process to the program's first word
        self.peak_rss = 0  # KiB, as the host's kernel says at the process's end
        self.peak_pss = 0  # KiB, each page counted once however often it is mapped; looked at between workloads
        self.failures = []

    def start(self):
        self.received, self.lines, self.tail = b"", collections.deque(), collections.deque(maxlen=12)
        # The guests have one processor, so that the native program gets one too.
        pin = None if self.emulator else lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        started = time.monotonic()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=pin
        )
        try:
            arrived, _ = self.expect(r"ready$")
        except Failure:
            self.stop()
            raise
        self.boots.append(self.sample(arrived - started, {}))

    def waited(self):
        """Seconds that each thread has spent ready to run, but not running."""
        threads = {}
        for path in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            try:
                threads[path.parent.name] = int(path.read_text().split()[1]) * 1e-9
            except (OSError, IndexError):  # the thread has ended, or the kernel does not count
                pass
        return threads

    def sample(self, seconds, before):
        # Guests have one processor: one thread works, and what that one waited is what is missing.
        waited = max((now - before.get(thread, 0) for thread, now in self.waited().items()), default=0)
        if self.discount_waiting:
            return Sample(max(seconds - waited, 1e-9), waited > 0.5 * seconds)
        return Sample(seconds, waited > DISTURBED * seconds)

    def stop(self):
        """Ends the process, gently if it can, and keeps its peak memory."""
        if self.process is None:
            return
        try:
            self.process.stdin.write(b"quit\n")
            self.process.stdin.flush()
        except OSError:
            pass
        deadline, killed = time.monotonic() + 10, False
        while True:
            pid, _, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                break
            # A full pipe would keep the process from ending.
            if select.select([self.process.stdout], [], [], 0.02)[0]:
                os.read(self.process.stdout.fileno(), 65536)
            if time.monotonic() > deadline and not killed:
                self.process.kill()
                killed = True
        self.peak_rss = max(self.peak_rss, usage.ru_maxrss)
        self.process.returncode = 0
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except OSError:
            pass
        self.process = None

    def expect(self, pattern):
        """Waits for a line that the pattern is found in; returns when its end arrived, and the match."""
        deadline = time.monotonic() + self.limit
        while True:
            while self.lines:
                arrived, line = self.lines.popleft()
                self.tail.append(line)
                if match := re.search(pattern, line):
                    return arrived, match
                if re.match(r"failed |Kernel panic|.*Kernel panic - ", line):
                    raise Failure(f"{self.name}: {line}")
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failure(f"{self.name}: not done within {self.limit:.0f} s; last of all: {self.last_words()}")
            chunk = os.read(self.process.stdout.fileno(), 65536)
            now = time.monotonic()
            if not chunk:
                raise Failure(f"{self.name}: ended; last of all: {self.last_words()}")
            *complete, self.received = (self.received + chunk).split(b"\n")
            self.lines.extend((now, line.decode(errors="replace").rstrip("\r")) for line in complete)

    def last_words(self):
        return " | ".join([*self.tail, self.received.decode(errors="replace")][-4:])

    def run(self, workload, count):
        """Runs rounds of a workload: a sample and the checksum, or (None, what the system lacks for it)."""
        name = re.escape(workload)
        try:
            self.process.stdin.write(f"run {workload} {count}\n".encode())
            self.process.stdin.flush()
        except OSError:
            raise Failure(f"{self.name}: ended; last of all: {self.last_words()}") from None
        began, match = self.expect(rf"(?:begin {name}|lacks {name} (.*))$")
        if match[1]:
            return None, match[1]
        waited = self.waited()
        ended, match = self.expect(rf"end {name} {count} ([0-9a-f]{{8}})$")
        return self.sample(ended - began, waited), match[1]

    def look_at_memory(self):
        """Takes the process's proportional memory, page tables included, into account."""
        try:
            rollup = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return
        sizes = [re.search(r"^Pss: +(\d+)", rollup, re.M), re.search(r"^VmPTE:\s+(\d+)", status, re.M)]
        self.peak_pss = max(self.peak_pss, sum(int(size[1]) for size in sizes if size))


def runners(options, program, initramfs, files):
    """The native program first: all others are compared with it."""
    wanted = options.runners.split(",") if options.runners else None
    kernel = find_kernel(options.kernel)

    def guest(dash):
        return [f"{dash}kernel", kernel, f"{dash}initrd", initramfs, f"{dash}append", options.append]

    found = [Runner("native", [program, files], options)]

    if shutil.which(options.qemu):
        machine = ["-accel", "tcg", "-m", str(options.memory), "-nodefaults", "-display", "none", "-serial", "stdio"]
        command = [options.qemu, *machine, "-no-reboot", *guest("-"), *shlex.split(options.qemu_args)]
        found.append(Runner("qemu", command, options))
    else:
        print(f"{options.qemu}: not on PATH, skipped")

    idem86 = options.idem86
    if not idem86:
        subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "idem86"], cwd=PROJECT, check=True)
        idem86 = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "release" / "idem86"
    usage = subprocess.run([idem86, "run", "--help"], capture_output=True, text=True, check=True).stdout
    engine_help = re.search(r"--engine <ENGINE>(.*?)\n\s+--", usage, re.S)[1]
    for engine in re.findall(r"^\s+- ([a-z0-9-]+):", engine_help, re.M):
        machine = ["--engine", engine, "--memory", f"{options.memory}M", "--display", "none", "--serial", "stdio"]
        command = [idem86, "run", *machine, "--no-reboot", *guest("--"), *shlex.split(options.idem86_args)]
        found.append(Runner(engine, command, options))

    if wanted:
        unknown = set(wanted) - {runner.name for runner in found}
        if unknown:
            sys.exit(f"No such runner: {', '.join(sorted(unknown))}")
        found = [runner for runner in found if runner.name in wanted or runner.name == "native"]
    return found


# --- measurement ------------------------------------------------------------------------------------------------------

# The best run: seconds of a round, rounds, the run's seconds, and whether even the best one was disturbed.
Measured = collections.namedtuple("Measured", "seconds count total disturbed checksum")


def repeat(options, enough, again):
    """Calls `again` for samples until `options.repeat` of them are undisturbed or `enough` of them say so."""
    samples = []
    while sum(not sample.disturbed for sample in samples) < options.repeat and not enough(samples):
        samples.append(again())
    return samples


def best(samples):
    return min(samples, key=lambda sample: (sample.disturbed, sample.seconds))


def measure(runner, workload, options):
    """Raises the number of rounds until they take about `options.seconds`, and takes the best of several runs."""
    count = 1
    while True:
        sample, checksum = runner.run(workload, count)
        if sample is None:
            return checksum
        if sample.seconds >= 0.5 * options.seconds or count >= 1 << 31:
            break
        wanted = int(count * options.seconds / max(sample.seconds, 1e-4)) + 1
        count = min(wanted, count * 50, 1 << 31)

    def again():
        sample, sum_now = runner.run(workload, count)
        if sum_now != checksum:
            raise Failure(f"{runner.name}: {workload} gave {checksum}, and in the next run {sum_now}")
        return sample

    most = options.repeat if options.discount_waiting else 3 * options.repeat
    sample = best(repeat(options, lambda samples: len(samples) >= most, again))
    return Measured(sample.seconds / count, count, sample.seconds, sample.disturbed, checksum)


def boot(runner, options):
    """Boots as often as asked, but not much longer than a minute; the last one stays."""

    def again():
        runner.stop()
        runner.start()
        return runner.boots[-1]

    def enough(boots):
        return bool(boots) and (not runner.emulator or sum(boot.seconds for boot in boots) > 60)

    repeat(options, enough, again)


def measure_all(found, options):
    """Results by (runner, workload). Runners take turns, so that what else the host does strikes all alike."""
    results = {}
    native = found[0]
    for runner in found:
        try:
            boot(runner, options)
        except Failure as failure:
            runner.failures.append(f"boot: {failure}")
    alive = [runner for runner in found if runner.process]
    if native not in alive:
        sys.exit(f"The program does not run natively: {native.failures}")
    for workload in options.chosen:
        for runner in list(alive):
            if options.progress:
                print(f"{workload}: {runner.name}            ", end="\r", file=sys.stderr, flush=True)
            try:
                result = measure(runner, workload, options)
                if isinstance(result, Measured) and runner is not native:
                    _, checksum = native.run(workload, result.count)
                    if checksum != result.checksum:
                        raise Failure(f"{result.count} rounds gave {result.checksum}, natively {checksum}")
                results[runner.name, workload] = result
                runner.look_at_memory()
            except Failure as failure:
                if runner is native:
                    raise
                runner.failures.append(f"{workload}: {failure}")
                boots = len(runner.boots)
                runner.stop()  # the next workload starts it anew
                try:
                    runner.start()
                    del runner.boots[boots:]
                except Failure as failure:
                    runner.failures.append(f"boot again: {failure}")
                    alive.remove(runner)
    for runner in found:
        runner.stop()
    return results


# --- the table --------------------------------------------------------------------------------------------------------


def duration(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def ratio(value):
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


class Table:
    """Times of a round and their ratios: QEMU to native, and each engine against both."""

    def __init__(self, found, results, options):
        self.names = [runner.name for runner in found]
        self.engines = [name for name in self.names if name not in ("native", "qemu")]
        self.results, self.options, self.runners = results, options, {runner.name: runner for runner in found}

    def seconds(self, runner, workload):
        result = self.results.get((runner, workload))
        return result.seconds if isinstance(result, Measured) else None

    def ratios(self, workloads, above, below):
        pairs = [(self.seconds(above, w), self.seconds(below, w)) for w in workloads]
        return [a / b for a, b in pairs if a and b]

    def columns(self):
        """(heading, above, below): a time where `below` is None, else a ratio."""
        yield "native", "native", None
        if "qemu" in self.names:
            yield "qemu", "qemu", None
            yield "qemu/nat", "qemu", "native"
        for engine in self.engines:
            yield engine, engine, None
            if "qemu" in self.names:
                yield "qemu/it", "qemu", engine
            yield "it/nat", engine, "native"

    def cell(self, workload, above, below):
        if below is not None:
            ratios = self.ratios([workload], above, below)
            return ratio(ratios[0]) if ratios else "-"
        result = self.results.get((above, workload))
        if isinstance(result, Measured):
            return ("~" if result.disturbed else "") + duration(result.seconds)
        return "lacking" if result else "failed"

    def line(self, title, cells):
        widths = [max(len(heading) + 1, 9 if below else 10) for heading, _, below in self.columns()]
        print(f"{title:<15}" + " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths)))

    def print(self):
        self.line("time of a round", [heading for heading, _, _ in self.columns()])
        for group in GROUPS:
            workloads = [w for w in group.workloads if w in self.options.chosen]
            for workload in workloads:
                self.line(workload, [self.cell(workload, above, below) for _, above, below in self.columns()])
            if len(workloads) > 1:
                means = [geometric_mean(self.ratios(workloads, a, b)) if b else None for _, a, b in self.columns()]
                self.line(f"= {group.title}", ["" if mean is None else ratio(mean) for mean in means])
        print()
        self.print_machines()
        if "translator" in self.engines:
            print()
            self.print_goals()

    def print_machines(self):
        print(f"{'':15}{'boot':>10} {'qemu/it':>9} {'peak RSS':>10} {'peak PSS':>10}")
        qemu = self.runners.get("qemu")
        for name in self.names:
            runner = self.runners[name]
            if not runner.emulator or not runner.boots:
                continue
            ours = best(runner.boots)
            against = ratio(best(qemu.boots).seconds / ours.seconds) if qemu and qemu.boots else "-"
            time_of_boot = ("~" if ours.disturbed else "") + duration(ours.seconds)
            rss, pss = (f"{size / 1024:.0f} MiB" if size else "-" for size in (runner.peak_rss, runner.peak_pss))
            print(f"{name:<15}{time_of_boot:>10} {against:>9} {rss:>10} {pss:>10}")
        print(f"boot: from the start of the process to init's first word; the guests have {self.options.memory} MiB")
        if self.options.discount_waiting:
            print("all times are without the time that the process waited for a processor; ~: that was more than half")
        else:
            print("~: the process waited for a processor for more than a twentieth of the time, in every run")
        print("RSS counts a page as often as it is mapped; PSS, looked at between workloads, once, with page tables")

    def print_goals(self):
        print("goals of the translator (geometric means)")

        def say(title, values, goal, what, reached, wanted=1, summary=geometric_mean):
            if len(values) < wanted:
                state = f"- only {len(values)} of {wanted} could be compared"
            else:
                value = summary(values)
                state = f"{ratio(value)} {'reached' if reached(value, goal) else 'MISSED'}"
            print(f"  {title:<15}{what:<17}{goal:<5} {state}")

        def at_least(value, goal):
            return value >= goal

        def at_most(value, goal):
            return value <= goal

        for group in GROUPS:
            workloads = [w for w in group.workloads if w in self.options.chosen]
            if not workloads:
                continue
            if "qemu" in self.names:
                ratios = self.ratios(workloads, "qemu", "translator")
                say(group.title, ratios, group.against_qemu, "qemu/it at least", at_least, len(workloads))
                if group.none_slower:
                    say("  its slowest", ratios, 1, "qemu/it at least", at_least, len(workloads), min)
            if group.against_native:
                ratios = self.ratios(workloads, "translator", "native")
                say(group.title, ratios, group.against_native, "it/nat at most", at_most, len(workloads))
        ours, qemu = self.runners["translator"], self.runners.get("qemu")
        if qemu and qemu.boots and ours.boots:
            boots = [best(qemu.boots).seconds / best(ours.boots).seconds]
            say("boot", boots, BOOT_AGAINST_QEMU, "qemu/it at least", at_least)
        peak = [(ours.peak_pss or ours.peak_rss) / 1024] if ours.peak_rss else []
        say("memory, MiB", peak, self.options.memory + EXTRA_MEMORY_MIB, "at most", at_most)


def host_description():
    model = re.search(r"^model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}"


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runners", help="which ones, by comma: qemu and engines of idem86; native always runs")
    parser.add_argument("--workloads", help="which ones, by comma, as the table names them or their groups")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a measured run takes at least half of")
    parser.add_argument("--repeat", type=int, default=3, help="undisturbed runs and boots of which the best counts")
    parser.add_argument(
        "--discount-waiting", action="store_true", help="take off the time that a busy host kept a process waiting"
    )
    parser.add_argument("--limit", type=float, default=300, help="seconds after which a boot or a run has failed")
    parser.add_argument("--memory", type=int, default=256, help="guest memory in MiB")
    parser.add_argument("--kernel", help="bzImage of the guest")
    parser.add_argument("--idem86", help="a built command; otherwise cargo builds it")
    parser.add_argument("--idem86-args", default="", help="further options of `idem86 run`")
    parser.add_argument("--qemu", default="qemu-system-i386", help="program to compare with")
    parser.add_argument("--qemu-args", default="", help="further options of QEMU")
    # Mitigations depend on the processor that each emulator says to be; without them both run the same kernel code.
    parser.add_argument("--append", default="console=ttyS0 panic=-1 mitigations=off", help="kernel command line")
    parser.add_argument("--json", help="file for all results")
    options = parser.parse_args()
    known = [workload for group in GROUPS for workload in group.workloads]
    wanted = options.workloads.split(",") if options.workloads else known
    if unknown := set(wanted) - set(known) - {group.title for group in GROUPS}:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    options.chosen = [w for group in GROUPS for w in group.workloads if w in wanted or group.title in wanted]
    options.progress = sys.stderr.isatty()
    return options


def main():
    options = parse_options()
    if not shutil.which("gcc"):
        sys.exit("gcc: not on PATH (package gcc-multilib)")
    shared_memory = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory(
        dir=shared_memory if shared_memory.is_dir() else None
    ) as files:
        program = build_program(pathlib.Path(work))
        found = runners(options, program, build_initramfs(pathlib.Path(work), program), files)
        print(f"host: {host_description()}; load {os.getloadavg()[0]:.1f} at the start", flush=True)
        try:
            results = measure_all(found, options)
        finally:
            for runner in found:
                runner.stop()
    print(f"load {os.getloadavg()[0]:.1f} at the end\n")
    Table(found, results, options).print()
    if options.json:
        everything = {
            "host": host_description(),
            "boot": {r.name: [boot._asdict() for boot in r.boots] for r in found if r.emulator},
            "peak_rss_kib": {r.name: r.peak_rss for r in found},
            "peak_pss_kib": {r.name: r.peak_pss for r in found},
            "failures": {r.name: r.failures for r in found},
            "results": [
                {"runner": runner, "workload": workload, **(r._asdict() if isinstance(r, Measured) else {"lacks": r})}
                for (runner, workload), r in results.items()
            ],
        }
        pathlib.Path(options.json).write_text(json.dumps(everything, indent=1))
    failures = [(runner.name, failure) for runner in found for failure in runner.failures]
    for name, failure in failures:
        print(f"FAILED in {name}: {failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
