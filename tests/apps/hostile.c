/* Situations that have broken preload libraries; the argument names one. What it prints must be the same with and
   without the library, and words in capitals must never be captured. Runs in a directory of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int is(const char *mode, const char *name) { return strcmp(mode, name) == 0; }

static void say(const char *text) {
    if (write(1, text, strlen(text)) < 0) _exit(90);
}

static int private_file(void) {
    int file = open("private.key", O_CREAT | O_RDWR | O_TRUNC, 0600);
    if (file < 0) _exit(91);
    return file;
}

static void *on_a_small_stack(void *unused) {
    for (int line = 0; line < 50; line++) {
        char text[64];
        snprintf(text, sizeof text, "a line of a small stack %d\n", line);
        say(text);
    }
    dprintf(1, "and dprintf %d %s %.2f\n", 5, "text", 2.5);
    return unused;
}

static void *until_cancelled(void *unused) {
    for (;;) {
        if (write(2, "", 0) < 0) break;
        pthread_testcancel();
    }
    return unused;
}

static sigjmp_buf away;
static void jump(int number) {
    (void)number;
    say("from the handler\n");
    siglongjmp(away, 1);
}

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "";
    if (is(mode, "strict_sandbox")) {
        say("before\n");
        if (prctl(PR_SET_SECCOMP, 1, 0, 0, 0) != 0) return 80;
        for (int line = 0; line < 20; line++) say("in the sandbox\n");
        syscall(SYS_exit, 0);
    } else if (is(mode, "small_stacks")) {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 16384);
        for (int thread = 0; thread < 4; thread++) {
            pthread_t started;
            if (pthread_create(&started, &attributes, on_a_small_stack, NULL) != 0) return 81;
            pthread_join(started, NULL);
        }
    } else if (is(mode, "no_more_descriptors")) {
        struct rlimit limit = {3, 3};
        setrlimit(RLIMIT_NOFILE, &limit);
        for (int line = 0; line < 3000; line++) printf("line %d without descriptors\n", line);
    } else if (is(mode, "no_file_size")) {
        struct rlimit limit = {0, 0};
        signal(SIGXFSZ, SIG_DFL);
        setrlimit(RLIMIT_FSIZE, &limit);
        for (int line = 0; line < 3000; line++) printf("line %d without a file size\n", line);
        fflush(stdout);
        execl("/bin/echo", "echo", "after exec", (char *)NULL);
    } else if (is(mode, "memory_deny_write_execute")) {
        prctl(65, 1, 0, 0, 0);
        execl("/bin/sh", "sh", "-c", "echo without new code; /bin/echo in a child", (char *)NULL);
    } else if (is(mode, "recycled_descriptor")) {
        printf("public\n");
        fflush(stdout);
        close(1);
        int file = private_file();
        for (int line = 0; line < 20; line++) dprintf(file, "PRIVATE %d\n", line);
        FILE *stream = fdopen(file, "w");
        fprintf(stream, "PRIVATE through stdio\n");
        fclose(stream);
        return file;
    } else if (is(mode, "reopened_stdout")) {
        printf("public\n");
        fflush(stdout);
        if (freopen("private.key", "w", stdout) == NULL) return 82;
        printf("PRIVATE\n");
        fflush(stdout);
    } else if (is(mode, "raw_dup2")) {
        printf("public\n");
        fflush(stdout);
        if (syscall(SYS_dup2, private_file(), 1) < 0) return 83;
        say("PRIVATE\n");
    } else if (is(mode, "vfork_redirection")) {
        for (int line = 0; line < 50; line++) {
            pid_t child = vfork();
            if (child == 0) {
                dup2(open("/dev/null", O_WRONLY), 1);
                execl("/bin/echo", "echo", "NOWHERE", (char *)NULL);
                _exit(84);
            }
            int status;
            waitpid(child, &status, 0);
            dprintf(1, "parent %d\n", line);
        }
    } else if (is(mode, "errno_is_kept")) {
        errno = 77;
        say("good\n");
        int after_success = errno;
        errno = 5;
        ssize_t result = write(99, "x", 1);
        int after_failure = errno;
        errno = 66;
        printf("flushed\n");
        fflush(stdout);
        fprintf(stderr, "%d %zd %d %d\n", after_success, result, after_failure, errno);
    } else if (is(mode, "jump_out_of_a_handler")) {
        for (volatile int line = 0; line < 200; line++) {
            signal(SIGALRM, jump);
            if (sigsetjmp(away, 1) == 0) {
                raise(SIGALRM);
            }
            say("after the jump\n");
        }
    } else if (is(mode, "cancelled_threads")) {
        for (int thread = 0; thread < 50; thread++) {
            pthread_t started;
            if (pthread_create(&started, NULL, until_cancelled, NULL) != 0) return 85;
            pthread_cancel(started);
            pthread_join(started, NULL);
            say("cancelled one\n");
        }
    } else if (is(mode, "closed_at_exec")) {
        if (count > 2) {
            int first = open("private.key", O_CREAT | O_RDWR | O_TRUNC, 0600);
            int second = open("private.two", O_CREAT | O_RDWR | O_TRUNC, 0600);
            if (write(first, "PRIVATE", 7) != 7 || write(second, "PRIVATE\n", 8) != 8) return 86;
            return first * 10 + second;
        }
        say("closing\n");
        close(0);
        close(1);
        close(2);
        execl(arguments[0], arguments[0], mode, "again", (char *)NULL);
    } else {
        return 99;
    }
    return 0;
}
