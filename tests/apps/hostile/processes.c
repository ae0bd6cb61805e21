/* Processes that come from others: what they do to their own descriptors is their own affair. */
#include "situation.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>

extern char **environ;

static void forked_children(void) {
    say("parent\n");
    for (int child = 0; child < 50; child++) {
        pid_t process = fork();
        need(process >= 0);
        if (process == 0) {
            printf("child %d\n", child);
            int log = log_file("app.log");
            dprintf(log, "log of child %d\n", child);
            exit(3);
        }
        need(WEXITSTATUS(status_of(process)) == 3);
    }
    say("parent again\n");
}

static void vfork_child_redirects_and_executes(void) {
    for (volatile int line = 0; line < 50; line++) {
        pid_t child = vfork();
        if (child == 0) {
            dup2(open("/dev/null", O_WRONLY), 1);
            execl("/bin/echo", "echo", "NOWHERE", (char *)NULL);
            _exit(84);
        }
        status_of(child);
        dprintf(1, "parent %d\n", line);
    }
}

/* The child shares its parent's memory, so what it learns of its own descriptors must not stay there. */
static void vfork_child_writes_elsewhere(void) {
    say("before\n");
    for (int round = 0; round < 30; round++) {
        pid_t child = vfork();
        if (child == 0) {
            int null = open("/dev/null", O_WRONLY);
            dup2(null, 1);
            ssize_t written = write(1, "NOWHERE\n", 8);
            _exit(written == 8 ? 0 : 85);
        }
        need(WEXITSTATUS(status_of(child)) == 0);
        say("the parent's stdout is what it was\n");
    }
}

static void vfork_child_writes_to_a_log(void) {
    /* The child opens the log on a number that is free in the parent, which then has something private there. */
    for (int round = 0; round < 30; round++) {
        int free_number = dup(0);
        close(free_number);
        pid_t child = vfork();
        if (child == 0) {
            int log = open("app.log", O_WRONLY | O_CREAT | O_APPEND, 0644);
            _exit(log == free_number && write(log, "of the child\n", 13) == 13 ? 0 : 86);
        }
        need(WEXITSTATUS(status_of(child)) == 0);
        int secret = memfd_create("PRIVATE", 0);
        need(secret == free_number);
        put(secret, "PRIVATE\n");
        close(secret);
    }
}

/* Nobody has written in the forked child yet when its own child does. */
static void vfork_in_a_silent_child(void) {
    say("grandparent\n");
    pid_t forked = fork();
    if (forked == 0) {
        pid_t child = vfork();
        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(87);
        }
        need(WEXITSTATUS(status_of(child)) == 0);
        for (int line = 0; line < 200; line++) printf("line %d of the forked child\n", line);
        exit(0);
    }
    need(status_of(forked) == 0);
    say("grandparent again\n");
}

static void spawned_with_actions(void) {
    for (int round = 0; round < 20; round++) {
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        if (round % 2) posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
        char *words[] = {"echo", round % 2 ? "NOWHERE" : "spawned", NULL};
        pid_t child;
        need(posix_spawn(&child, "/bin/echo", &actions, NULL, words, environ) == 0);
        need(status_of(child) == 0);
        say("parent\n");
        posix_spawn_file_actions_destroy(&actions);
    }
    pid_t child;
    char *words[] = {"nothing", NULL};
    need(posix_spawnp(&child, "no-such-program-anywhere", NULL, NULL, words, environ) == ENOENT);
    need(system("echo by system") == 0);
    FILE *pipe = popen("cat", "w");
    fputs("by popen\n", pipe);
    need(pclose(pipe) == 0);
    pipe = popen("echo PRIVATE", "r");
    char text[32];
    need(fgets(text, sizeof text, pipe) != NULL && pclose(pipe) == 0);
}

static void executed_in_every_way(void) {
    const char *words[] = {"execv", "execve", "execvp", "execl", "execlp", "execle", "fexecve"};
    for (int way = 0; way < 7; way++) {
        pid_t child = fork();
        if (child == 0) {
            char *arguments[] = {"echo", (char *)words[way], NULL};
            switch (way) {
            case 0: execv("/bin/echo", arguments); break;
            case 1: execve("/bin/echo", arguments, environ); break;
            case 2: execvp("echo", arguments); break;
            case 3: execl("/bin/echo", "echo", words[way], "a", "b", "c", "d", "e", "f", (char *)NULL); break;
            case 4: execlp("echo", "echo", words[way], (char *)NULL); break;
            case 5: execle("/bin/echo", "echo", words[way], (char *)NULL, environ); break;
            default: fexecve(open("/bin/echo", O_RDONLY), arguments, environ);
            }
            _exit(88);
        }
        need(status_of(child) == 0);
    }
    errno = 0;
    need(execl("/no/such/program", "x", (char *)NULL) == -1 && errno == ENOENT);
    say("execl failed\n");
}

static void chain_of_executions(void) {
    int left = program[2] == NULL ? 30 : atoi(program[2]);
    printf("%d to go\n", left);
    fflush(stdout);
    if (left == 0) return;
    char text[16];
    snprintf(text, sizeof text, "%d", left - 1);
    execl(program[0], program[0], "chain_of_executions", text, (char *)NULL);
}

/* glibc and musl put the daemon's streams into place from inside. */
static void daemon_without_streams(void) {
    say("before\n");
    int ready[2];
    need(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        put(1, "the child before\n");
        need(daemon(1, 0) == 0);
        for (int line = 0; line < 200; line++) put(1, "NOWHERE\n");
        int log = log_file("app.log");
        put(log, "a line of the daemon\n");
        put(ready[1], "x");
        _exit(0);
    }
    need(status_of(child) == 0);
    char byte;
    need(read(ready[0], &byte, 1) == 1);
    say("after\n");
}

static int in_own_memory(void *unused) {
    (void)unused;
    say("a clone with its own memory\n");
    return 0;
}

static void raw_clones(void) {
    static char stack[65536];
    pid_t child = clone(in_own_memory, stack + sizeof stack, SIGCHLD, NULL);
    need(child > 0 && status_of(child) == 0);
    /* With all the arguments that there are. */
    pid_t of_parent = 0, of_child = 0;
    int flags = SIGCHLD | CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID;
    child = clone(in_own_memory, stack + sizeof stack, flags, NULL, &of_parent, NULL, &of_child);
    need(child > 0 && status_of(child) == 0);
    need(of_parent == child && of_child == child);
    errno = 0;
    need(clone(in_own_memory, stack + sizeof stack, CLONE_SIGHAND, NULL) == -1 && errno == EINVAL);
    child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        say("a child by the system call\n");
        syscall(SYS_exit_group, 0);
    }
    need(status_of(child) == 0);
    say("parent\n");
}

static void killed_children(void) {
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        if (child == 0) {
            dprintf(1, "last words of %d\n", round);
            if (round % 2) abort();
            kill(getpid(), SIGKILL);
        }
        need(WIFSIGNALED(status_of(child)));
    }
}

static int forks_left, writers_go_on = 1;
static void *writes_on(void *number) {
    int line = 0;
    /* On with it until the last child has ended, but never so much that the test takes long. */
    while (__atomic_load_n(&writers_go_on, __ATOMIC_RELAXED) || line < 100) {
        dprintf(1, "w%d line %d\n", (int)(long)number, line++);
        usleep(500);
    }
    return NULL;
}

/* As many forks as the second argument says while eight threads write; every child writes one line. */
static void forks_under_eight_writers(void) {
    forks_left = program[2] == NULL ? 300 : atoi(program[2]);
    pthread_t threads[8];
    for (long number = 0; number < 8; number++)
        need(pthread_create(&threads[number], NULL, writes_on, (void *)number) == 0);
    for (int number = 0; number < forks_left; number++) {
        pid_t child = fork();
        need(child >= 0);
        if (child == 0) {
            char text[32];
            int length = snprintf(text, sizeof text, "child%d here\n", number);
            _exit(write(1, text, length) == length ? 0 : 89);
        }
        need(status_of(child) == 0);
    }
    __atomic_store_n(&writers_go_on, 0, __ATOMIC_RELAXED);
    for (int number = 0; number < 8; number++) pthread_join(threads[number], NULL);
}

SITUATIONS(A(forked_children), A(vfork_child_redirects_and_executes), A(vfork_child_writes_elsewhere),
    A(vfork_child_writes_to_a_log), A(vfork_in_a_silent_child), A(spawned_with_actions),
    A(executed_in_every_way), A(chain_of_executions), A(daemon_without_streams), A(raw_clones),
    A(killed_children), A(forks_under_eight_writers))
