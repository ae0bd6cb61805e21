/* Control flow that leaves a hook in an unusual way, and errno. */
#include "situation.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/uio.h>

static void errno_is_kept(void) {
    errno = 77;
    say("good\n");
    int after_success = errno;
    errno = 5;
    ssize_t result = write(99, "x", 1);
    int after_failure = errno;
    errno = 66;
    printf("flushed\n");
    fflush(stdout);
    int after_flush = errno;
    errno = 65;
    int copy = dup(1);
    put(copy, "by a copy\n");
    close(copy);
    int log = log_file("app.log");
    put(log, "a log\n");
    int after_log = errno;
    errno = 64;
    fprintf(stderr, "%d %zd %d %d %d\n", after_success, result, after_failure, after_flush, after_log);
    need(errno == 64);
    errno = 63;
    dprintf(1, "%-600s|\n", "a long one, formatted twice by some");
    need(errno == 63);
    /* Larger than any ring, one write. */
    size_t size = 3 << 20;
    char *much = malloc(size);
    memset(much, 'x', size);
    for (size_t at = 999; at < size; at += 1000) much[at] = '\n';
    much[size - 1] = '\n';
    errno = 62;
    for (size_t done = 0; done < size;) {
        ssize_t now = write(1, much + done, size - done);
        need(now > 0);
        done += now;
    }
    need(errno == 62);
    free(much);
    errno = 61;
    need(dup2(1, 50) == 50 && close(50) == 0 && errno == 61);
    need(close(50) == -1 && errno == EBADF);
    void *volatile nowhere = (void *)8;
    need(write(1, nowhere, 4) == -1 && errno == EFAULT);
    struct iovec parts[2] = {{"half ", 5}, {nowhere, 4}};
    ssize_t half = writev(1, parts, 2);
    printf("%zd\n", half);
    volatile int impossible = -1;
    need(writev(1, parts, impossible) == -1 && errno == EINVAL);
    impossible = 2000;
    need(writev(1, parts, impossible) == -1 && errno == EINVAL);
}

/* What a crash handler writes last. */
#ifdef __GLIBC__
#include <execinfo.h>
static void backtraces(void) {
    /* In no library, so that they are written in the same way each time. */
    void *frames[3] = {(void *)0x1000, (void *)0x2000, (void *)0x3000};
    int count = sizeof frames / sizeof *frames, log = log_file("app.log");
    say("before\n");
    errno = 77;
    backtrace_symbols_fd(frames, count, 1);
    backtrace_symbols_fd(frames, count, log);
    backtrace_symbols_fd(frames, count, 99);
    int secret = private_file();
    backtrace_symbols_fd(frames, count, secret);
    backtrace_symbols_fd(frames, 0, 1);
    say("after\n");
    int next = dup(0);
    dprintf(2, "%d\n", next);
}
#else
static void backtraces(void) {}
#endif

static void nothing_at_all(void) {
    need(write(1, "", 0) == 0);
    need(write(1, NULL, 0) == 0);
    need(writev(1, NULL, 0) == 0);
    struct iovec parts[3] = {{NULL, 0}, {"x\n", 2}, {NULL, 0}};
    need(writev(1, parts, 3) == 2);
}

static sigjmp_buf away;
static void jumps(int number) {
    (void)number;
    say("from the handler\n");
    siglongjmp(away, 1);
}

static void jump_out_of_a_handler(void) {
    for (volatile int line = 0; line < 200; line++) {
        signal(SIGALRM, jumps);
        if (sigsetjmp(away, 1) == 0) raise(SIGALRM);
        say("after the jump\n");
    }
}

static volatile sig_atomic_t handled;
static void only_jumps(int number) {
    (void)number;
    if (++handled >= 200) {
        struct itimerval never = {{0, 0}, {0, 0}};
        setitimer(ITIMER_REAL, &never, NULL);
    }
    siglongjmp(away, 1);
}

/* Out of the hook itself, wherever the timer finds it. A jump may take a write that was not yet made with it, but
   neither the other lines nor the rest of the program. */
static void jump_out_of_a_hook(void) {
    /* No signal interrupts the handler, where it would leave the timer running; the jump unblocks it again. */
    struct sigaction action = {.sa_handler = only_jumps};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 100}, {0, 100}};
    setitimer(ITIMER_REAL, &often, NULL);
    while (handled < 200) {
        if (sigsetjmp(away, 1) == 0) {
            if (write(2, "", 0) != 0 || write(2, "t\n", 2) != 2) break;
        }
    }
    for (int last = 0; last < 3000; last++) {
        char text[64];
        int length = snprintf(text, sizeof text, "line %d after all jumps\n", last);
        need(write(1, text, length) == length);
    }
}

#ifdef __x86_64__
/* The flag that stops a program after every instruction. */
#define STEP_ON "lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp"
#define STEP_OFF "lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp"

static volatile long steps, last_step;
static void steps_on(int number) {
    (void)number;
    if (++steps == last_step) siglongjmp(away, 1);
}

/* Out of the hook after each of its first instructions, one after the other: what it held then nobody ever gives back. */
static void jump_out_all_over_a_hook(void) {
    struct sigaction action = {.sa_handler = steps_on};
    sigaction(SIGTRAP, &action, NULL);
    for (last_step = 1; last_step < 600; last_step++) {
        steps = 0;
        if (sigsetjmp(away, 1) == 0) {
            __asm__ volatile(STEP_ON ::: "memory", "cc");
            ssize_t written = write(2, "t\n", 2);
            __asm__ volatile(STEP_OFF ::: "memory", "cc");
            need(written == 2);
        }
    }
    for (int line = 0; line < 3000; line++) {
        char text[64];
        int length = snprintf(text, sizeof text, "line %d after all jumps\n", line);
        need(write(1, text, length) == length);
    }
}
#else
static void jump_out_all_over_a_hook(void) {}
#endif

static void also_writes(int number) {
    (void)number;
    int saved = errno;
    if (write(1, "handler\n", 8) == 8) handled++;
    errno = saved;
}

static void handlers_that_write(void) {
    struct sigaction action = {.sa_handler = also_writes, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, NULL);
    for (int line = 0; line < 3000 || (handled < 20 && line < 300000); line++) {
        char text[64];
        int length = snprintf(text, sizeof text, "main %d\n", line);
        need(write(1, text, length) == length);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    need(handled > 0);
}

static void *until_cancelled(void *unused) {
    for (;;) {
        if (write(2, "", 0) < 0) break;
        pthread_testcancel();
    }
    return unused;
}

static void cancelled_threads(void) {
    for (int thread = 0; thread < 50; thread++) {
        pthread_t started;
        need(pthread_create(&started, NULL, until_cancelled, NULL) == 0);
        pthread_cancel(started);
        pthread_join(started, NULL);
        say("cancelled one\n");
    }
}

static int full_pipe;
static void *blocks(void *unused) {
    ssize_t written = write(full_pipe, "x", 1);
    (void)written;
    return unused;
}

/* write is still a place where a thread can be cancelled. */
static void cancelled_in_a_blocking_write(void) {
    int ends[2];
    need(pipe(ends) == 0);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], "x", 1) == 1) {}
    fcntl(ends[1], F_SETFL, 0);
    full_pipe = ends[1];
    pthread_t started;
    need(pthread_create(&started, NULL, blocks, NULL) == 0);
    need(pthread_cancel(started) == 0);
    void *result;
    need(pthread_join(started, &result) == 0);
    say(result == PTHREAD_CANCELED ? "cancelled\n" : "not cancelled\n");
}

static void *cancelled_any_time(void *unused) {
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (;;) {
        if (write(2, "a\n", 2) < 0) break;
    }
    return unused;
}

/* Anywhere in the hook: what others write afterwards is not held up. */
static void cancelled_asynchronously(void) {
    for (int thread = 0; thread < 30; thread++) {
        pthread_t started;
        need(pthread_create(&started, NULL, cancelled_any_time, NULL) == 0);
        usleep(300);
        pthread_cancel(started);
        pthread_join(started, NULL);
    }
    for (int line = 0; line < 3000; line++) printf("line %d after the threads\n", line);
}

__attribute__((constructor)) static void first(void) {
    if (getenv("LOGTAP_TEST_CONSTRUCTOR") != NULL) put(1, "a constructor of the program\n");
}

static void last(void) {
    put(1, "an exit handler\n");
    printf("and by stdio\n");
}

__attribute__((destructor)) static void very_last(void) {
    if (handled == -1) put(1, "a destructor of the program\n");
}

static void exit_handlers_and_destructors(void) {
    handled = -1;
    atexit(last);
    printf("buffered until the end\n");
}

static void constructors(void) {
    if (program[2] == NULL) {
        setenv("LOGTAP_TEST_CONSTRUCTOR", "1", 1);
        execl(program[0], program[0], "constructors", "again", (char *)NULL);
    }
    say("main\n");
}

static void ended_without_handlers(void) {
    atexit(last);
    printf("buffered and never shown\n");
    say("shown\n");
    _exit(7);
}

static void aborted(void) {
    signal(SIGABRT, SIG_DFL);
    fprintf(stderr, "about to abort\n");
    printf("buffered and never shown\n");
    abort();
}

SITUATIONS(A(errno_is_kept), A(backtraces), A(nothing_at_all), A(jump_out_of_a_handler), A(jump_out_of_a_hook), A(jump_out_all_over_a_hook),
    A(handlers_that_write), A(cancelled_threads), A(cancelled_in_a_blocking_write),
    A(cancelled_asynchronously), A(exit_handlers_and_destructors), A(constructors),
    A(ended_without_handlers), A(aborted))
