/* Does on stdin's word, line by line, what hurt preload libraries: writes, forks, closes all, ends. Says "ok" on stderr
   after each word. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *text) {
    if (write(1, text, strlen(text)) != (ssize_t)strlen(text)) abort();
}

static void on_signal(int number) {
    (void)number;
    say("from a signal handler\n");
}

static void lines(const char *name, long count) {
    char text[128];
    for (long line = 0; line < count; line++) {
        snprintf(text, sizeof text, "%s line %ld of a burst\n", name, line);
        say(text);
    }
}

static void *thread(void *name) {
    lines(name, 20000);
    return NULL;
}

static int child(pid_t process) {
    int status = 0;
    waitpid(process, &status, 0);
    return status;
}

int main(void) {
    char word[4096];
    setvbuf(stdin, NULL, _IONBF, 0);
    while (fgets(word, sizeof word, stdin)) {
        char *rest = word + 2;
        switch (word[0]) {
        case 'w': /* a line */
            say(rest);
            break;
        case 'p': /* the begin of one */
            rest[strcspn(rest, "\n")] = 0;
            say(rest);
            break;
        case 'b': /* a burst of so many */
            lines("b", atol(rest));
            break;
        case 't': { /* four threads, 20000 lines each */
            pthread_t threads[4];
            char *names[] = {"t0", "t1", "t2", "t3"};
            for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, thread, names[i]);
            for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
            break;
        }
        case 'f': { /* a forked child writes a line */
            pid_t process = fork();
            if (process == 0) {
                say(rest);
                _exit(0);
            }
            child(process);
            break;
        }
        case 'v': { /* a child of vfork does */
            pid_t process = vfork();
            if (process == 0) {
                if (write(1, rest, strlen(rest)) < 0) _exit(1);
                _exit(0);
            }
            child(process);
            break;
        }
        case 'x': /* a program that it starts shows its descriptors */
            child(system("ls -l /proc/self/fd >&2"));
            break;
        case 'c': { /* closes all, and has a file of its own behind every number */
            for (int number = 3; number < 1024; number++) close(number);
            int file = open("data.db", O_RDWR | O_CREAT | O_APPEND, 0600);
            for (int number = 3; number < 1024; number++) dup2(file, number);
            break;
        }
        case 's': /* writes from a signal handler */
            signal(SIGUSR1, on_signal);
            raise(SIGUSR1);
            break;
        case 'k': /* enters a sandbox where nothing but read and write is allowed, writes and ends */
            prctl(PR_SET_SECCOMP, 1);
            say(rest);
            syscall(SYS_exit, 0);
            break;
        case 'l': /* through stdio, left in its buffer */
            printf("%s", rest);
            break;
        case 'o': /* the same into a file of its own, by a name */
            fprintf(fopen("app.log", "a"), "%s", rest);
            break;
        case 'e': /* becomes another program */
            execlp("true", "true", (char *)NULL);
            break;
        case 'q': /* ends at once */
            _exit(atoi(rest));
        }
        if (write(2, "ok\n", 3) != 3) abort();
    }
    return 0;
}
