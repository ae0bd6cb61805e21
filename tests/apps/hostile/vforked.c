/* A child of vfork, or of clone in the same memory, is stopped in the middle of its write, and its parent, whose memory and name it has, is killed. A third
   process, which shares the ring with both, then writes until the ring is full and beyond, and lets the child go on. The
   arguments say how the child is made, and after how many instructions of its write it is stopped. */
#include "situation.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

enum { LINES = 1500, LENGTH = 80 };

static volatile long steps, last_step;
static void stops(int number) {
    (void)number;
    if (++steps == last_step) kill(getpid(), SIGSTOP);
}

/* The number of the child in its parent's memory, for all three. */
static volatile pid_t *child;
static char stranger[LENGTH];

static void in_the_child(void) {
    *child = getpid();
    struct sigaction action = {.sa_handler = stops};
    sigaction(SIGTRAP, &action, NULL);
    __asm__ volatile(STEP_ON ::: "memory", "cc");
    ssize_t written = write(1, stranger, LENGTH);
    __asm__ volatile(STEP_OFF ::: "memory", "cc");
    need(written == LENGTH);
    /* It stops once, whatever the step. */
    if (steps < last_step) kill(getpid(), SIGSTOP);
    _exit(0);
}

static int of_clone(void *unused) {
    (void)unused;
    in_the_child();
    return 97;
}

static int is_stopped(pid_t process) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    int file = open(path, O_RDONLY);
    if (file < 0) return 0;
    need(read(file, text, sizeof text - 1) > 0);
    close(file);
    char *end = strrchr(text, ')');
    return end != NULL && (end[2] == 'T' || end[2] == 't');
}

int main(int count, char **arguments) {
    if (count < 3) return 99;
    int by_clone = strcmp(arguments[1], "clone") == 0;
    last_step = atol(arguments[2]);
    char text[LENGTH];
    int line = 0;
    memset(text, '.', sizeof text);
    memset(stranger, 'x', sizeof stranger);
    memcpy(stranger, "stranger ", 9);
    text[LENGTH - 1] = stranger[LENGTH - 1] = '\n';
    child = mmap(NULL, sizeof *child, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(child != MAP_FAILED);
    /* A full ring before there is a child. */
    for (; line < 300; line++) {
        text[sprintf(text, "line %d", line)] = ' ';
        need(write(1, text, LENGTH) == LENGTH);
    }
    /* Whose parent has ended is a child of this process. */
    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t parent = fork();
    if (parent == 0) {
        /* It has written, and so has a name. */
        need(write(1, stranger, LENGTH) == LENGTH);
        if (by_clone) {
            static char stack[256 << 10] __attribute__((aligned(16)));
            need(clone(of_clone, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL) > 0);
            for (;;) pause();
        }
        if (vfork() == 0) in_the_child();
        _exit(97);
    }
    while (*child == 0 || !is_stopped(*child)) usleep(1000);
    need(kill(parent, SIGKILL) == 0);
    need(WTERMSIG(status_of(parent)) == SIGKILL);
    for (; line < LINES; line++) {
        text[sprintf(text, "line %d", line)] = ' ';
        need(write(1, text, LENGTH) == LENGTH);
    }
    need(kill(*child, SIGCONT) == 0);
    need(status_of(*child) == 0);
    return 0;
}
