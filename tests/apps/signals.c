/* Handlers that write, and that jump out of the middle of things, while the program writes. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static sigjmp_buf back;

static void say(int descriptor, const char *text) {
    ssize_t written = write(descriptor, text, strlen(text));
    (void)written;
}

static void on_first(int number) {
    (void)number;
    say(STDERR_FILENO, "handler on stderr\n");
    say(STDOUT_FILENO, "handler on stdout\n");
}

static void on_second(int number) {
    (void)number;
    say(STDOUT_FILENO, "handler that jumps\n");
    siglongjmp(back, 1);
}

int main(void) {
    signal(SIGUSR1, on_first);
    signal(SIGUSR2, on_second);
    for (int round = 0; round < 200; round++) {
        say(STDOUT_FILENO, "before the signal\n");
        raise(SIGUSR1);
        if (sigsetjmp(back, 1) == 0) raise(SIGUSR2);
        say(STDOUT_FILENO, "after the jump\n");
    }
    /* The end is a signal, which logtap run repeats on itself. */
    signal(SIGTERM, SIG_DFL);
    raise(SIGTERM);
    return 0;
}
