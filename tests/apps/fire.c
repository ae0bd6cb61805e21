/* A parent that writes one line, and a forked child that writes many when it is told to: they share
   a ring. The parent stops before and after its write, for a tracer to find the place. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    static const char victim[] = "the line of the one that is killed or stopped, padded to some length ........\n";
    pid_t sibling = fork();
    if (sibling == 0) {
        char go;
        if (read(0, &go, 1) != 1) _exit(2);
        for (int line = 0; line < 40; line++) {
            char text[120];
            int length = snprintf(text, sizeof text, "sibling %d\n", line);
            if (write(1, text, length) != length) _exit(3);
        }
        _exit(0);
    }
    raise(SIGSTOP);
    if (write(1, victim, sizeof victim - 1) != sizeof victim - 1) return 4;
    raise(SIGSTOP);
    int status;
    waitpid(sibling, &status, 0);
    return WEXITSTATUS(status);
}
