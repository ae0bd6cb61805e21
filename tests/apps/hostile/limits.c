/* Too little of something: stack, descriptors, file size, memory. */
#include "situation.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void *on_a_small_stack(void *unused) {
    int log = log_file("app.log");
    for (int line = 0; line < 400; line++) {
        char text[64];
        snprintf(text, sizeof text, "a line of a small stack %d\n", line);
        say(text);
        put(log, text);
    }
    dprintf(1, "and dprintf %d %s %.2f\n", 5, "text", 2.5);
    close(log);
    return unused;
}

static void small_stacks(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    need(pthread_attr_setstacksize(&attributes, 16384) == 0);
    for (int thread = 0; thread < 4; thread++) {
        pthread_t started;
        need(pthread_create(&started, &attributes, on_a_small_stack, NULL) == 0);
        pthread_join(started, NULL);
    }
}

static void on_the_signal_stack(int number) {
    (void)number;
    int copy = dup(1);
    put(copy, "from a handler on a small stack\n");
    close(copy);
    int log = log_file("app.log");
    put(log, "from a handler on a small stack\n");
    close(log);
}

static void small_signal_stack(void) {
    stack_t stack = {.ss_sp = malloc(8192), .ss_size = 8192};
    need(sigaltstack(&stack, NULL) == 0);
    struct sigaction action = {.sa_handler = on_the_signal_stack, .sa_flags = SA_ONSTACK};
    need(sigaction(SIGUSR1, &action, NULL) == 0);
    for (int round = 0; round < 100; round++) {
        raise(SIGUSR1);
        say("between\n");
    }
}

static void no_more_descriptors(void) {
    struct rlimit limit = {3, 3};
    need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int line = 0; line < 3000; line++) printf("line %d without descriptors\n", line);
}

static void started_without_descriptors(void) {
    if (program[2] == NULL) {
        struct rlimit limit = {4, 4};
        need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        execl(program[0], program[0], "started_without_descriptors", "again", (char *)NULL);
        _exit(90);
    }
    for (int line = 0; line < 500; line++) printf("line %d with one descriptor\n", line);
}

static void no_file_size(void) {
    struct rlimit limit = {0, 0};
    signal(SIGXFSZ, SIG_DFL);
    need(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    for (int line = 0; line < 3000; line++) printf("line %d without a file size\n", line);
    fflush(stdout);
    execl("/bin/echo", "echo", "after exec", (char *)NULL);
}

/* The log reaches the limit: what fitted counts, what did not is the program's to hear of. */
static void log_reaches_its_size(void) {
    struct rlimit limit = {100, 100};
    signal(SIGXFSZ, SIG_IGN);
    int log = log_file("app.log");
    need(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    int refused = 0, cut = 0;
    for (int line = 0; line < 20; line++) {
        ssize_t written = write(log, "sixteen letters\n", 16);
        if (written < 0) refused += errno == EFBIG;
        else if (written < 16) cut++;
    }
    printf("%d refused, %d cut\n", refused, cut);
}

static void out_of_memory(void) {
    printf("before\n");
    fflush(stdout);
    struct rlimit limit = {1, 1};
    need(setrlimit(RLIMIT_AS, &limit) == 0);
    need(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    for (int line = 0; line < 3000; line++) {
        char text[64];
        int length = snprintf(text, sizeof text, "line %d without memory\n", line);
        need(write(1, text, length) == length);
    }
    dprintf(2, "a short one by dprintf\n");
}

static void started_with_little_memory(void) {
    if (program[2] == NULL) {
        /* Enough for the program and its libraries, not for everything else. */
        struct rlimit limit = {16 << 20, 16 << 20};
        need(setrlimit(RLIMIT_AS, &limit) == 0);
        execl(program[0], program[0], "started_with_little_memory", "again", (char *)NULL);
        _exit(91);
    }
    for (int line = 0; line < 3000; line++) printf("line %d with little memory\n", line);
}

/* All that malloc can give is taken, and taken again by every write's neighbour. */
static void memory_pressure(void) {
    struct rlimit limit = {256 << 20, 256 << 20};
    need(setrlimit(RLIMIT_AS, &limit) == 0);
    static char line[200];
    memset(line, 'm', sizeof line - 1);
    line[sizeof line - 2] = '\n';
    void *taken = NULL;
    for (;;) {
        void **more = malloc(65536);
        if (more == NULL) break;
        memset(more, 1, 65536);
        *more = taken;
        taken = more;
    }
    for (int count = 0; count < 3000; count++) need(write(1, line, sizeof line - 1) == sizeof line - 1);
}

SITUATIONS(A(small_stacks), A(small_signal_stack), A(no_more_descriptors), A(started_without_descriptors),
    A(no_file_size), A(log_reaches_its_size), A(out_of_memory), A(started_with_little_memory), A(memory_pressure))
