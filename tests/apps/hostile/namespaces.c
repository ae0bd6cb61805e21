/* A forked child in a pid namespace of its own, whose number no process outside has, writes into the ring or into one of
   its own. The argument says whether it can make one, and after how many instructions of its write it is stopped
   (0: never); its parent then writes until the ring is full and beyond, and lets it go on. */
#include "situation.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { LINES = 1500, LENGTH = 80 };

static volatile long steps, last_step;
static void stops(int number) {
    (void)number;
    if (++steps == last_step) raise(SIGSTOP);
}

static void write_one(int alone) {
    struct rlimit none = {0, 0};
    if (!alone) need(setrlimit(RLIMIT_FSIZE, &none) == 0);
    struct sigaction action = {.sa_handler = stops};
    sigaction(SIGTRAP, &action, NULL);
    char text[LENGTH];
    memset(text, 'x', sizeof text);
    memcpy(text, "stranger ", 9);
    text[LENGTH - 1] = '\n';
    if (last_step > 0) {
        __asm__ volatile(STEP_ON ::: "memory", "cc");
        ssize_t written = write(1, text, LENGTH);
        __asm__ volatile(STEP_OFF ::: "memory", "cc");
        need(written == LENGTH);
    }
    /* A grandchild is not sure at once that it is no child of vfork. */
    for (int line = 0; alone && line < 20; line++) need(write(1, text, LENGTH) == LENGTH);
    /* It stops once, whatever the step. */
    if (steps < last_step || last_step == 0) raise(SIGSTOP);
}

/* Numbers that are free out here, and lie within what a namespace of any kernel gives. */
static pid_t free_number(void) {
    for (pid_t number = 30000; number > 300; number--) {
        if (kill(number, 0) < 0 && errno == ESRCH) return number;
    }
    need(!"a free number");
    return 0;
}

/* Between the process outside and the first one inside, which no signal stops. */
static int ends[2];

static void tell(int end) { need(send(end, "g", 1, 0) == 1); }

/* False where the other is gone. */
static int hear(int end) {
    char go;
    return recv(end, &go, 1, 0) == 1;
}

/* The first process of the namespace: gives birth to the writer, under this number. */
static void bear(pid_t number, int alone) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct clone_args ask = {.exit_signal = SIGCHLD, .set_tid = (__u64)&number, .set_tid_size = 1};
    long born = syscall(SYS_clone3, &ask, sizeof ask);
    if (born < 0) _exit(77);
    if (born == 0) {
        need(getpid() == number);
        write_one(alone);
        _exit(0);
    }
    int status = 0;
    need(waitpid(born, &status, WUNTRACED) == born && WIFSTOPPED(status));
    tell(ends[1]);
    need(hear(ends[1]));
    need(kill(born, SIGCONT) == 0);
    _exit(status_of(born) == 0 ? 0 : 1);
}

int main(int count, char **arguments) {
    if (count < 3) return 99;
    int alone = strcmp(arguments[1], "alone") == 0;
    last_step = atol(arguments[2]);
    char text[LENGTH];
    int line = 0;
    memset(text, '.', sizeof text);
    text[LENGTH - 1] = '\n';
    /* A full ring before there is a child. */
    for (; line < 300; line++) {
        text[sprintf(text, "line %d", line)] = ' ';
        need(write(1, text, LENGTH) == LENGTH);
    }
    pid_t number = free_number();
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) return 77;
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    pid_t first = fork();
    if (first == 0) {
        close(ends[0]);
        bear(number, alone);
    }
    close(ends[1]);
    if (!hear(ends[0])) return WEXITSTATUS(status_of(first));
    for (; line < LINES; line++) {
        text[sprintf(text, "line %d", line)] = ' ';
        need(write(1, text, LENGTH) == LENGTH);
    }
    tell(ends[0]);
    need(status_of(first) == 0);
    return 0;
}
