/* Bytes that the kernel moves, and writes that do not take all or have to wait. */
#include "situation.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>

static int source_of(int lines) {
    int source = open("source.txt", O_RDWR | O_CREAT | O_TRUNC, 0644);
    need(source >= 0);
    for (int line = 0; line < lines; line++) dprintf(source, "line %d that is moved\n", line);
    need(lseek(source, 0, SEEK_SET) == 0);
    return source;
}

static void sent_files(void) {
    int source = source_of(5000);
    off_t size = lseek(source, 0, SEEK_END), from = 0;
    while (from < size) need(sendfile(1, source, &from, size - from) > 0);
    need(lseek(source, 0, SEEK_SET) == 0);
    while (sendfile(1, source, NULL, 10000) > 0) {}
    int log = open("app.log", O_CREAT | O_WRONLY | O_TRUNC, 0644);
    from = 0;
    while (from < size) need(sendfile(log, source, &from, size - from) > 0);
    errno = 0;
    need(sendfile(1, 99, NULL, 10) == -1 && errno == EBADF);
    off_t *nowhere = (off_t *)8;
    need(sendfile(1, source, nowhere, 10) == -1 && errno == EFAULT);
}

static void sent_by_system_calls(void) {
    int source = source_of(100);
    off_t size = lseek(source, 0, SEEK_END), from = 0;
    while (from < size) need(syscall(SYS_sendfile, 1, source, &from, size - from) > 0);
    need(syscall(SYS_sendfile, 1, source, 8, 10) == -1 && errno == EFAULT);
    struct iovec parts[2] = {{"by ", 3}, {"writev\n", 7}};
    need(syscall(SYS_writev, 1, parts, 2) == 10);
    int log = (int)syscall(SYS_openat, AT_FDCWD, "app.log", O_CREAT | O_WRONLY, 0644);
    need(syscall(SYS_pwrite64, log, "at an offset\n", 13, 0) == 13);
    need(syscall(SYS_pwritev, log, parts, 2, 13, 0) == 10);
    need(syscall(SYS_pwritev2, log, parts, 2, 23, 0, 0) == 10);
    from = 0;
    loff_t to = 33;
    long copied = syscall(SYS_copy_file_range, source, &from, log, &to, 50, 0);
    if (copied < 0) need(pwrite(log, "not on this file system\n", 24, 33) == 24);
    int copy = (int)syscall(SYS_fcntl, log, F_DUPFD, 100);
    need(lseek(copy, 0, SEEK_END) > 33);
    put(copy, "by a copy\n");
    need(syscall(SYS_close, copy) == 0);
#ifdef SYS_open
    int again = (int)syscall(SYS_open, "app.log", O_WRONLY | O_APPEND);
    put(again, "opened again\n");
#endif
}

static void copied_ranges(void) {
    int source = source_of(3000), log = open("app.log", O_CREAT | O_WRONLY | O_TRUNC, 0644);
    put(log, "before\n");
    for (;;) {
        ssize_t copied = (ssize_t)syscall(SYS_copy_file_range, source, NULL, log, NULL, 1 << 20, 0);
        if (copied < 0) need(sendfile(log, source, NULL, 1 << 20) >= 0);
        if (copied == 0) break;
    }
    put(log, "after\n");
}

/* User memory into a pipe without a copy. */
static void given_to_a_pipe(void) {
    static char text[] = "given to the pipe\n";
    struct iovec part = {text, sizeof text - 1};
    for (int round = 0; round < 20; round++) need(vmsplice(1, &part, 1, 0) == (ssize_t)sizeof text - 1);
    say("after\n");
}

static void short_writes(void) {
    fcntl(1, F_SETPIPE_SZ, 4096);
    need(fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK) == 0);
    static char block[10000];
    memset(block, 's', sizeof block);
    for (size_t at = 99; at < sizeof block; at += 100) block[at] = '\n';
    size_t done = 0, total = 40 * sizeof block;
    while (done < total) {
        size_t at = done % sizeof block;
        ssize_t now = write(1, block + at, sizeof block - at);
        if (now > 0) {
            done += now;
            continue;
        }
        need(now == -1 && errno == EAGAIN);
        struct pollfd ready = {1, POLLOUT, 0};
        poll(&ready, 1, -1);
    }
    need(fcntl(1, F_SETFL, fcntl(1, F_GETFL) & ~O_NONBLOCK) == 0);
}

/* stdio gives up at the first EAGAIN: what had been written then, and only that, is in the capture. */
static void stdio_that_gives_up(void) {
    need(fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK) == 0);
    int refused = 0;
    for (int line = 0; line < 30000; line++) {
        if (printf("line %d of one that gives up\n", line) < 0) {
            refused++;
            clearerr(stdout);
        }
        if (line % 1000 == 0 && fflush(stdout) != 0) clearerr(stdout);
    }
    need(fcntl(1, F_SETFL, fcntl(1, F_GETFL) & ~O_NONBLOCK) == 0);
    fflush(stdout);
    (void)refused;
}

static volatile sig_atomic_t rang;
static void rings(int number) {
    (void)number;
    rang++;
}

static void interrupted_writes(void) {
    int ends[2];
    need(pipe(ends) == 0 && dup2(1, 60) == 60);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], "x", 1) == 1) {}
    fcntl(ends[1], F_SETFL, 0);
    struct sigaction action = {.sa_handler = rings};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &soon, NULL);
    errno = 0;
    ssize_t result = write(ends[1], "x", 1);
    int error = errno;
    setitimer(ITIMER_REAL, &never, NULL);
    printf("%zd %d %d\n", result, error == EINTR, rang > 0);
}

static void broken_pipe(void) {
    int ends[2], kept = dup(1);
    signal(SIGPIPE, SIG_IGN);
    need(pipe(ends) == 0);
    close(ends[0]);
    errno = 0;
    need(write(ends[1], "x", 1) == -1 && errno == EPIPE);
    put(kept, "refused\n");
    signal(SIGPIPE, SIG_DFL);
    if (write(ends[1], "x", 1) < 0) say("never here\n");
}

static void terminals_are_asked_for(void) {
    printf("%d %d %d %d\n", isatty(0), isatty(1), isatty(2), errno);
    struct winsize size;
    printf("%d\n", ioctl(1, TIOCGWINSZ, &size));
}

SITUATIONS(A(sent_files), A(sent_by_system_calls), A(copied_ranges), A(given_to_a_pipe), A(short_writes),
    A(stdio_that_gives_up), A(interrupted_writes), A(broken_pipe), A(terminals_are_asked_for))
