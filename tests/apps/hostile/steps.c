/* Leaves a call after every so many instructions of it, each time from the start, and writes on.

   The words: how it is left (`signal`: by a handler that jumps, as soon as the program lets it run; `fault`: at once,
   whatever is held; `refused`: at the next system call, as a filter does that answers with a signal), which call (`write`, `stdio`, or `grow`: a write that makes a larger ring), where (`inside` one
   process, or a `child` for each), the distance of the places, and the first. A file that is named last is renamed before each. */
#include "situation.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

/* A process that has written so much gets its full ring. */
enum { STARTER_SERVES = 16 << 10, FIRST = 9 };

static int by_fault, by_refusal, by_stdio, grows, in_children;
/* Leaves it where the file of a ring gets its size, whichever step that is. */
static int by_size;
static const char *rotated;
static volatile long steps, last_step;
static sigjmp_buf away;

static void jumps(int number) {
    (void)number;
    siglongjmp(away, 1);
}

static int is_at_a_system_call(const ucontext_t *context) {
#ifdef __x86_64__
    const unsigned char *next = (const unsigned char *)context->uc_mcontext.gregs[16];
    return next[0] == 0x0f && next[1] == 0x05;
#else
    return context != NULL;
#endif
}

static long next_call(const ucontext_t *context) {
#ifdef __x86_64__
    return is_at_a_system_call(context) ? context->uc_mcontext.gregs[13] : -1;
#else
    return context == NULL;
#endif
}

static void steps_on(int number, siginfo_t *information, void *context) {
    (void)number;
    (void)information;
    steps++;
    if (by_size && next_call(context) == SYS_fallocate) siglongjmp(away, 1);
    if (by_refusal && steps >= last_step && is_at_a_system_call(context)) siglongjmp(away, 1);
    if (by_refusal || steps != last_step) return;
    if (by_fault) siglongjmp(away, 1);
    /* It comes when this handler is over, or when the call lets it come. */
    raise(SIGUSR1);
}

/* Whether it was left. */
static int leave_after(long step) {
    steps = 0;
    last_step = step;
    if (sigsetjmp(away, 1) != 0) return 1;
    __asm__ volatile(STEP_ON ::: "memory", "cc");
    ssize_t written = by_stdio ? 2 * fputs("t\n", stderr) : write(2, "t\n", 2);
    __asm__ volatile(STEP_OFF ::: "memory", "cc");
    need(by_stdio ? written >= 0 : written == 2);
    return 0;
}

/* How many entries of a directory of /proc lead to a name with this text. */
static int count_links(const char *directory, const char *text) {
    DIR *entries = opendir(directory);
    need(entries);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(entries));) {
        char target[4096] = "";
        ssize_t length = readlinkat(dirfd(entries), entry->d_name, target, sizeof target - 1);
        if (length > 0 && strstr(target, text)) count++;
    }
    closedir(entries);
    return count;
}

static int descriptors(void) { return count_links("/proc/self/fd", ""); }

static int mapped_rings(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    need(maps);
    int count = 0;
    for (char line[4500]; fgets(line, sizeof line, maps);) count += strstr(line, ".ring") != NULL;
    fclose(maps);
    return count;
}

static void after(long step) {
    char text[64];
    for (int line = 0; line < 3; line++) {
        int length = snprintf(text, sizeof text, "after %ld %d\n", step, line);
        need(write(1, text, length) == length);
    }
}

/* Up to one byte before a larger ring is made. */
static void fill(void) {
    char text[128];
    memset(text, 'f', sizeof text);
    text[sizeof text - 1] = '\n';
    for (int left = STARTER_SERVES - 1 - FIRST; left > 0; left -= sizeof text) {
        int length = left < (int)sizeof text ? left : (int)sizeof text;
        need(write(1, text + sizeof text - length, length) == length);
    }
}

/* A maker that was thrown out stands in nobody's way for long. */
static int is_healed(void) {
    if (!grows || !by_fault || count_links("/proc/self/fd", ".tmp") == 0) return 0;
    int before = mapped_rings();
    struct timespec time = {1, 300000000};
    nanosleep(&time, NULL);
    size_t size = 400 << 10;
    char *much = malloc(size);
    memset(much, 'm', size);
    for (size_t at = 99; at < size; at += 100) much[at] = '\n';
    for (size_t done = 0; done < size;) {
        ssize_t now = write(1, much + done, size - done);
        need(now > 0);
        done += now;
    }
    need(mapped_rings() == before + 1 || !"another ring");
    return 1;
}

enum { OVER = 3, LEFT = 4, HEALED = 5 };

static int play(long step, int may_heal) {
    if (grows) fill();
    if (rotated) {
        char name[4096];
        snprintf(name, sizeof name, "%s.%ld", rotated, step);
        need(rename(rotated, name) == 0);
    }
    int opened = descriptors();
    int left = leave_after(step);
    /* A connection of its own it keeps. */
    if (!by_fault && !by_refusal) need(descriptors() <= opened + 1);
    after(step);
    if (may_heal && is_healed()) return HEALED;
    return left ? LEFT : OVER;
}

int main(int count, char **words) {
    if (count < 6) return 99;
    by_refusal = strcmp(words[1], "refused") == 0;
    by_fault = strcmp(words[1], "fault") == 0;
    by_stdio = strcmp(words[2], "stdio") == 0;
    grows = strcmp(words[2], "grow") == 0;
    in_children = strcmp(words[3], "child") == 0;
    long every = atol(words[4]);
    if (count > 6) rotated = words[6];
    struct sigaction trap = {.sa_sigaction = steps_on, .sa_flags = SA_SIGINFO}, jump = {.sa_handler = jumps};
    sigaddset(&trap.sa_mask, SIGUSR1);
    sigaction(SIGTRAP, &trap, NULL);
    sigaction(SIGUSR1, &jump, NULL);
    need(write(1, "the first\n" + 1, FIRST) == FIRST);
    int end = LEFT;
    long step = atol(words[5]);
    if (grows && by_fault && getenv("LD_PRELOAD")) {
        pid_t child = fork();
        by_size = 1;
        if (child == 0) _exit(play(0, 1));
        by_size = 0;
        need(status_of(child) == HEALED << 8);
    }
    for (; end != OVER; step += by_refusal ? 1 : every) {
        if (in_children) {
            pid_t child = fork();
            if (child == 0) _exit(play(step, 0));
            int status = status_of(child);
            need(WIFEXITED(status));
            end = WEXITSTATUS(status);
            need(end == OVER || end == LEFT);
        } else {
            end = play(step, 0);
            if (by_refusal && steps > step) step = steps;
        }
    }
    if (getenv("LD_PRELOAD")) need(step > 100);
    return 0;
}
