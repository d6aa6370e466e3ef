/*
 * The benchmark's only process: init of the guest, or an ordinary program of the host. Reads commands from standard
 * input and prints markers around each workload; whoever reads the markers keeps the time, this program never looks
 * at a clock.
 *
 *   run NAME COUNT    -> "begin NAME", the work, "end NAME COUNT CHECKSUM"; or "lacks NAME REASON"
 *   quit              -> the end: the guest resets, a program exits
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

const char *bench_directory = "/tmp";
const char *bench_program;

static const struct workload *const lists[] = {
    integer_workloads, call_workloads, interpreter_workloads, string_workloads,
    memory_workloads,  system_workloads, code_workloads, packed_workloads,
};
static const struct workload *const singles[] = {&nbody_x87_workload, &nbody_sse_workload};

const char *lacks_sse2(void)
{
    return __builtin_cpu_supports("sse2") ? NULL : "SSE2";
}

static void print(const char *line)
{
    size_t length = strlen(line);
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, line, length);
        if (written < 0 && errno != EINTR)
            _exit(1);
        if (written > 0) {
            line += written;
            length -= (size_t)written;
        }
    }
}

_Noreturn void fail(const char *what)
{
    char line[160];
    snprintf(line, sizeof line, "failed %s: %s\n", what, strerror(errno));
    print(line);
    _exit(1);
}

void *take(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    return memory;
}

void give_back(void *memory, size_t size)
{
    if (munmap(memory, size) != 0)
        fail("munmap");
}

static const struct workload *find(const char *name)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const struct workload *w = lists[i]; w->name; w++)
            if (strcmp(w->name, name) == 0)
                return w;
    for (size_t i = 0; i < sizeof singles / sizeof *singles; i++)
        if (strcmp(singles[i]->name, name) == 0)
            return singles[i];
    return NULL;
}

static void run(const char *name, uint32_t count)
{
    char line[160];
    const struct workload *w = find(name);
    const char *lack = w ? (w->lacks ? w->lacks() : NULL) : "the workload";
    if (lack) {
        snprintf(line, sizeof line, "lacks %s %s\n", name, lack);
        print(line);
        return;
    }
    if (w->prepare)
        w->prepare();
    snprintf(line, sizeof line, "begin %s\n", name);
    print(line);
    uint32_t sum = w->run(count);
    snprintf(line, sizeof line, "end %s %u %08x\n", name, count, sum);
    print(line);
    if (w->release)
        w->release();
}

/* Starts the program again, once, without random addresses: which pages fall together is the same in every run. */
static void fix_addresses(char **argv)
{
    const int persona = personality(0xFFFFFFFF);
    if (persona == -1 || persona & ADDR_NO_RANDOMIZE)
        return;
    if (personality((unsigned long)persona | ADDR_NO_RANDOMIZE) == -1)
        fail("personality");
    execv(argv[0], argv);
    fail("exec");
}

/* The console as it is at the start would echo commands and add carriage returns. */
static void start_as_init(void)
{
    struct termios console;
    if (tcgetattr(STDIN_FILENO, &console) == 0) {
        console.c_lflag &= ~(tcflag_t)ECHO;
        console.c_oflag &= ~(tcflag_t)OPOST;
        tcsetattr(STDIN_FILENO, TCSANOW, &console);
    }
    enum { CONSOLE_LEVEL = 8 };
    klogctl(CONSOLE_LEVEL, NULL, 1); /* no kernel messages between the markers */
    mkdir(bench_directory, 0755);
    if (mount("tmpfs", bench_directory, "tmpfs", 0, NULL) != 0)
        fail("mount tmpfs");
}

int main(int argc, char **argv)
{
    /* What fork+exec starts: it ends at once, with the status it was asked for. */
    if (argc == 3 && strcmp(argv[1], "child") == 0)
        _exit(atoi(argv[2]));

    fix_addresses(argv);
    const int init = getpid() == 1;
    bench_program = argv[0];
    if (init)
        start_as_init();
    else if (argc == 2)
        bench_directory = argv[1];
    /* Large pages come and go with the state of the system; without them all see the same page size. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);

    print("ready\n");
    char line[160], name[64];
    unsigned count;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "run %63s %u", name, &count) == 2)
            run(name, count);
        else if (strcmp(line, "quit\n") == 0)
            break;
        else
            fail("command");
    }
    if (init)
        reboot(RB_AUTOBOOT);
    return 0;
}
