/* Descriptor numbers that change their meaning. */
#include "situation.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* A number that was a log's, taken by something that no hook sees being made. */
static int secret_object(void) {
    int memory = memfd_create("PRIVATE", 0);
    need(memory >= 0);
    return memory;
}

static void secrets(int descriptor) {
    for (int line = 0; line < 5; line++) put(descriptor, "PRIVATE BY WRITE\n");
    dprintf(descriptor, "PRIVATE BY DPRINTF\n");
}

static void recycled_after(int (*closing)(int)) {
    for (int round = 0; round < 20; round++) {
        int log = log_file("app.log");
        put(log, "a line of the log\n");
        need(closing(log) == 0);
        int secret = round % 2 == 0 ? secret_object() : private_file();
        need(secret == log);
        secrets(secret);
        close(secret);
    }
}

static int by_range(int descriptor) {
    return (int)syscall(SYS_close_range, descriptor, descriptor, 0);
}
/* What this C library may not have. */
extern int close_range(unsigned, unsigned, int) __attribute__((weak));
extern void closefrom(int) __attribute__((weak));
static int by_range_of_libc(int descriptor) {
    return close_range != NULL ? close_range(descriptor, descriptor, 0) : by_range(descriptor);
}
static int by_all_above(int descriptor) {
    if (closefrom == NULL) return (int)syscall(SYS_close_range, descriptor, ~0U, 0);
    closefrom(descriptor);
    return 0;
}
static int by_system_call(int descriptor) { return (int)syscall(SYS_close, descriptor); }
/* What the stream has collected is written when it is closed, in between. */
static int by_stream(int descriptor) {
    FILE *stream = fdopen(descriptor, "a");
    return fputs("a line of the stream\n", stream) < 0 ? -1 : fclose(stream);
}
static int by_failed_reopening(int descriptor) {
    FILE *stream = fdopen(descriptor, "a");
    need(fputs("a line of the stream\n", stream) >= 0 && fflush(stream) == 0);
    return freopen("/no/such/directory", "a", stream) == NULL ? 0 : -1;
}
static void recycled_after_close(void) { recycled_after(close); }
static void recycled_after_close_range(void) { recycled_after(by_range); }
static void recycled_after_system_call(void) { recycled_after(by_system_call); }
static void recycled_after_fclose(void) { recycled_after(by_stream); }
static void recycled_after_close_range_of_libc(void) { recycled_after(by_range_of_libc); }
static void recycled_after_closefrom(void) { recycled_after(by_all_above); }
static void recycled_after_a_failed_freopen(void) { recycled_after(by_failed_reopening); }

static void recycled_stdout(void) {
    printf("public\n");
    fflush(stdout);
    close(1);
    int file = private_file();
    need(file == 1);
    secrets(file);
    FILE *stream = fdopen(file, "w");
    fprintf(stream, "PRIVATE THROUGH STDIO\n");
    fclose(stream);
}

static void reopened_stdout(void) {
    printf("public\n");
    fflush(stdout);
    need(freopen("private.key", "w", stdout) != NULL);
    printf("PRIVATE\n");
    fflush(stdout);
}

static void duplicate_over_stdout_by_system_call(void) {
    say("public\n");
    int kept = dup(1);
    need(syscall(SYS_dup3, private_file(), 1, 0) == 1);
    say("PRIVATE\n");
    need(syscall(SYS_dup3, kept, 1, 0) == 1);
    say("public again\n");
}

/* Up and down, over and under: what is stdout at any moment is what was started with. */
static void duplicates_in_all_ways(void) {
    int secret = private_file();
    for (int round = 0; round < 50; round++) {
        int one = dup(1), two = fcntl(one, F_DUPFD, 40), three = fcntl(1, F_DUPFD_CLOEXEC, 300);
        put(one, "by dup\n");
        put(two, "by F_DUPFD\n");
        put(three, "by F_DUPFD_CLOEXEC\n");
        need(dup2(secret, one) == one);
        put(one, "PRIVATE\n");
        need(dup3(two, one, O_CLOEXEC) == one);
        put(one, "back by dup3\n");
        need(dup2(one, one) == one);
        put(one, "onto itself\n");
        need(dup2(secret, 1) == 1);
        put(1, "PRIVATE\n");
        need(dup2(three, 1) == 1);
        put(1, "and back\n");
        close(one);
        close(two);
        close(three);
        need(dup2(-1, 1) == -1 && errno == EBADF);
        put(1, "still there\n");
    }
}

static void very_high_descriptors(void) {
    /* Far beyond every table: 5 and 8197 share a place in one of 8192. */
    int low = fcntl(1, F_DUPFD, 5);
    int secret = private_file();
    int high = fcntl(secret, F_DUPFD, low + 8192);
    if (high < 0) high = fcntl(secret, F_DUPFD, 900);
    for (int round = 0; round < 20; round++) {
        put(low, "low\n");
        put(high, "PRIVATE\n");
    }
}

static void reopened_by_name(void) {
    const char *names[] = {"/dev/stdout", "/proc/self/fd/1", "/dev/fd/1", "/proc/thread-self/fd/1"};
    for (int round = 0; round < 8; round++) {
        int copy = open(names[round % 4], O_WRONLY | O_APPEND);
        need(copy > 2);
        put(copy, "by another name\n");
        close(copy);
    }
    FILE *stream = fopen("/dev/stderr", "w");
    need(stream != NULL);
    fputs("to stderr by name\n", stream);
    fclose(stream);
}

/* A pipe inside the program is not its stdout, whatever number it has. */
static void pipe_on_descriptor_one(void) {
    int ends[2], kept = dup(1);
    say("before\n");
    need(pipe(ends) == 0 && dup2(ends[1], 1) == 1);
    say("PRIVATE\n");
    printf("PRIVATE BY PRINTF\n");
    fflush(stdout);
    need(dup2(kept, 1) == 1);
    say("after\n");
}

static void socket_pair_on_descriptor_one(void) {
    int ends[2], kept = dup(1);
    need(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && dup2(ends[0], 1) == 1);
    say("PRIVATE\n");
    need(dup2(kept, 1) == 1);
    say("after\n");
}

static void closes_everything(void) {
    for (int descriptor = 3; descriptor < 1024; descriptor++) close(descriptor);
    say("after closing one by one\n");
    int log = log_file("app.log");
    put(log, "first\n");
    need(syscall(SYS_close_range, 3, ~0U, 0) == 0);
    need(write(log, "nowhere\n", 8) == -1 && errno == EBADF);
    int data = private_file();
    need(data == 3);
    for (int line = 0; line < 2000; line++) {
        put(data, "PRIVATE\n");
        printf("line %d after closing all\n", line);
    }
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 34)
    closefrom(3);
    need(write(data, "nowhere\n", 8) == -1 && errno == EBADF);
#endif
#endif
}

static void number_of_descriptors_is_the_same(void) {
    int open_now = 0;
    for (int line = 0; line < 4000; line++) printf("a line %d to fill the first ring\n", line);
    for (int descriptor = 0; descriptor < 4096; descriptor++)
        if (fcntl(descriptor, F_GETFD) != -1) open_now++;
    printf("%d descriptors, the next is %d\n", open_now, dup(0));
}

static void closed_at_exec(void) {
    if (program[2] != NULL) {
        int first = open("private.key", O_CREAT | O_RDWR | O_TRUNC, 0600);
        int second = open("private.two", O_CREAT | O_RDWR | O_TRUNC, 0600);
        need(write(first, "PRIVATE", 7) == 7 && write(second, "PRIVATE\n", 8) == 8);
        _exit(first * 10 + second);
    }
    say("closing\n");
    close(0);
    close(1);
    close(2);
    execl(program[0], program[0], "closed_at_exec", "again", (char *)NULL);
}

static void read_only_and_closed_streams(void) {
    errno = 0;
    int input = open("/dev/null", O_RDONLY);
    need(write(input, "x", 1) == -1 && errno == EBADF);
    close(2);
    errno = 0;
    need(write(2, "x", 1) == -1 && errno == EBADF);
    need(fprintf(stderr, "nowhere\n") < 0);
    say("both refused\n");
}

static int turn;
static void *opens_and_closes(void *unused) {
    for (int round = 0; round < 2000; round++) {
        int log = log_file("app.log");
        put(log, "a line of the log\n");
        if (round % 2) close(log);
        else need(syscall(SYS_close_range, log, log, 0) == 0);
    }
    __atomic_store_n(&turn, 1, __ATOMIC_RELEASE);
    return unused;
}

/* One thread's log and another one's secret take turns on the same numbers. */
static void two_threads_share_the_numbers(void) {
    pthread_t thread;
    need(pthread_create(&thread, NULL, opens_and_closes, NULL) == 0);
    while (!__atomic_load_n(&turn, __ATOMIC_ACQUIRE)) {
        int secret = secret_object();
        put(secret, "PRIVATE\n");
        close(secret);
    }
    pthread_join(thread, NULL);
}

SITUATIONS(A(recycled_after_close), A(recycled_after_close_range), A(recycled_after_system_call),
    A(recycled_after_fclose), A(recycled_after_close_range_of_libc), A(recycled_after_closefrom),
    A(recycled_after_a_failed_freopen), A(recycled_stdout), A(reopened_stdout),
    A(duplicate_over_stdout_by_system_call), A(duplicates_in_all_ways), A(very_high_descriptors),
    A(reopened_by_name), A(pipe_on_descriptor_one), A(socket_pair_on_descriptor_one),
    A(closes_everything), A(number_of_descriptors_is_the_same), A(closed_at_exec),
    A(read_only_and_closed_streams), A(two_threads_share_the_numbers))
