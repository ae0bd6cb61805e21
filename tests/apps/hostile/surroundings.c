/* What is around a process: users, roots, clocks. */
#include "situation.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

static void many(const char *text) {
    for (int line = 0; line < 3000; line++) printf("%s, line %d\n", text, line);
    fflush(stdout);
}

static void other_user(void) {
    say("as root\n");
    need(chown(".", 65534, 65534) == 0);
    int log = log_file("app.log");
    put(log, "of root\n");
    need(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
    put(log, "of nobody, same descriptor\n");
    many("as nobody");
    log = log_file("second.log");
    put(log, "opened by nobody\n");
    execl("/bin/sh", "sh", "-c", "echo a program of nobody; echo and to stderr >&2", (char *)NULL);
}

static void other_root(void) {
    say("in the usual root\n");
    int log = log_file("app.log");
    put(log, "before\n");
    need(mkdir("root", 0755) == 0 && chroot("root") == 0 && chdir("/") == 0);
    put(log, "after\n");
    many("in a root of its own");
    need(open("/proc/self/fd/1", O_WRONLY) == -1);
    int copy = dup(1);
    put(copy, "and through a copy\n");
}

static void umask_and_working_directory(void) {
    umask(0777);
    need(mkdir("gone", 0) == 0);
    umask(0777);
    need(chmod("gone", 0700) == 0 && chdir("gone") == 0 && rmdir("../gone") == 0);
    many("in no directory");
    need(chdir("/") == 0);
}

static void environment_overwritten(void) {
    /* As programs do to show a title. */
    memset(program[0], 'x', strlen(program[0]));
    extern char **environ;
    for (char **entry = environ; *entry != NULL; entry++) memset(*entry, 'x', strlen(*entry));
    clearenv();
    many("without an environment");
}

static void not_dumpable(void) {
    need(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
    many("not dumpable");
    int log = log_file("app.log");
    put(log, "a log\n");
}

static void a_second_apart(void) {
    for (int line = 0; line < 5; line++) {
        say("tick\n");
        struct timespec pause = {0, 200000000};
        nanosleep(&pause, NULL);
    }
}

SITUATIONS(A(other_user), A(other_root), A(umask_and_working_directory), A(environment_overwritten),
    A(not_dumpable), A(a_second_apart))
