/* What a kernel does: system calls, processes, pipes, memory, signals, files. */
#define _GNU_SOURCE
#include "bench.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- getppid, 100 a round --- */

static uint32_t int80_run(uint32_t count)
{
    const uint32_t parent = (uint32_t)getppid();
    uint32_t sum = 0;
    while (count--)
        for (int i = 0; i < 100; i++) {
            uint32_t result;
            __asm__ volatile("int $0x80" : "=a"(result) : "0"(SYS_getppid) : "memory");
            sum += result - parent + 1;
        }
    return sum;
}

static const char *lacks_vdso(void)
{
    return getauxval(AT_SYSINFO) ? NULL : "AT_SYSINFO";
}

/* Through the kernel's own entry code in the vDSO: SYSENTER, or SYSCALL in a 64-bit kernel on some processors. */
static uint32_t vdso_run(uint32_t count)
{
    const unsigned long entry = getauxval(AT_SYSINFO);
    const uint32_t parent = (uint32_t)getppid();
    uint32_t sum = 0;
    while (count--)
        for (int i = 0; i < 100; i++) {
            uint32_t result;
            __asm__ volatile("call *%2" : "=a"(result) : "0"(SYS_getppid), "r"(entry) : "memory");
            sum += result - parent + 1;
        }
    return sum;
}

/* --- a byte there and back through two pipes, 10 times a round --- */

static uint32_t pipe_run(uint32_t count)
{
    int there[2], back[2];
    if (pipe(there) != 0 || pipe(back) != 0)
        fail("pipe");
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    uint8_t byte = 0;
    if (child == 0) {
        close(there[1]), close(back[0]);
        while (read(there[0], &byte, 1) == 1) {
            byte = (uint8_t)(byte * 5 + 1);
            if (write(back[1], &byte, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    close(there[0]), close(back[1]);
    uint32_t sum = 0;
    while (count--)
        for (int i = 0; i < 10; i++) {
            if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
                fail("pipe");
            sum = mix(sum, byte);
        }
    close(there[1]), close(back[0]);
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("wait");
    return sum;
}

/* --- processes: one a round --- */

static uint32_t status_of(pid_t child)
{
    int status;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
        fail("wait");
    return (uint32_t)WEXITSTATUS(status);
}

static uint32_t fork_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--) {
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0)
            _exit((int)(count & 0x7F));
        sum = mix(sum, status_of(child));
    }
    return sum;
}

static uint32_t exec_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--) {
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            char status[12];
            snprintf(status, sizeof status, "%u", (unsigned)(count & 0x7F));
            execv(bench_program, (char *[]){(char *)bench_program, "child", status, NULL});
            _exit(0xFF);
        }
        sum = mix(sum, status_of(child));
    }
    return sum;
}

/* --- page faults: 256 new pages a round, mapped, touched and unmapped --- */

static uint32_t fault_run(uint32_t count)
{
    enum { PAGE = 4096, PAGES = 256 };
    uint32_t sum = 0;
    while (count--) {
        volatile uint32_t *area =
            mmap(NULL, PAGE * PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED)
            fail("mmap");
        for (uint32_t i = 0; i < PAGES; i++)
            area[i * (PAGE / 4) + i] += i ^ count;
        for (uint32_t i = 0; i < PAGES; i++)
            sum = mix(sum, area[i * (PAGE / 4) + i] + area[i * (PAGE / 4)]);
        if (munmap((void *)area, PAGE * PAGES) != 0)
            fail("munmap");
    }
    return sum;
}

/* --- signals: 10 a round, to a handler and back --- */

static volatile uint32_t handled;

static void handler(int number) { handled = mix(handled, (uint32_t)number); }

static uint32_t signal_run(uint32_t count)
{
    struct sigaction action = {.sa_handler = handler};
    if (sigaction(SIGUSR1, &action, NULL) != 0 || sigaction(SIGUSR2, &action, NULL) != 0)
        fail("sigaction");
    const pid_t self = getpid();
    handled = 0;
    while (count--)
        for (int i = 0; i < 10; i++)
            if (kill(self, (count + (uint32_t)i) % 3 == 0 ? SIGUSR1 : SIGUSR2) != 0)
                fail("kill");
    return handled;
}

/* --- files in memory: written, read, renamed and removed, one a round --- */

static char from[160], to[160];

static void file_prepare(void)
{
    snprintf(from, sizeof from, "%s/idem86-bench-new", bench_directory);
    snprintf(to, sizeof to, "%s/idem86-bench-old", bench_directory);
}

static uint32_t file_run(uint32_t count)
{
    static uint32_t block[1024], again[1024];
    uint32_t sum = 0;
    while (count--) {
        for (int i = 0; i < 1024; i++)
            block[i] = count + (uint32_t)i;
        int file = open(from, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (file < 0)
            fail("create");
        for (int i = 0; i < 4; i++)
            if (write(file, block, sizeof block) != sizeof block)
                fail("write");
        struct stat stat;
        if (fstat(file, &stat) != 0 || lseek(file, 8, SEEK_SET) != 8)
            fail("seek");
        for (int i = 0; i < 3; i++)
            if (read(file, again, sizeof again) != sizeof again)
                fail("read");
        sum = mix(sum, (uint32_t)stat.st_size + again[count % 1024]);
        if (close(file) != 0 || rename(from, to) != 0 || unlink(to) != 0)
            fail("unlink");
    }
    return sum;
}

const struct workload system_workloads[] = {
    {.name = "syscall-int80", .run = int80_run},
    {.name = "syscall-vdso", .run = vdso_run, .lacks = lacks_vdso},
    {.name = "pipe", .run = pipe_run},
    {.name = "fork", .run = fork_run},
    {.name = "exec", .run = exec_run},
    {.name = "page-fault", .run = fault_run},
    {.name = "signal", .run = signal_run},
    {.name = "files", .run = file_run, .prepare = file_prepare},
    {.name = NULL},
};
