/* System calls that write, on numbers other than 1 and 2 as well, into both streams and into
   calls.log. What is no log (secret.key, under the descriptor number that the log had) must not be
   taken for one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void say(int descriptor, const char *text) {
    if (write(descriptor, text, strlen(text)) != (ssize_t)strlen(text)) abort();
}

static void reopened(const char *path, const char *text) {
    int descriptor = open(path, O_WRONLY | O_APPEND);
    /* A socket for stdout cannot be opened by name; pipes and terminals can. */
    if (descriptor < 0) return;
    say(descriptor, text);
    close(descriptor);
}

static void descriptors(void) {
    say(STDOUT_FILENO, "write to stdout\n");
    say(STDERR_FILENO, "write to stderr\n");
    struct iovec parts[3] = {{"writev ", 7}, {"in ", 3}, {"parts\n", 6}};
    if (writev(STDOUT_FILENO, parts, 3) != 16) abort();
    if (writev(STDERR_FILENO, parts, 3) != 16) abort();
    int copy = dup(STDOUT_FILENO);
    say(copy, "through a copy of stdout\n");
    int far = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    say(far, "through a copy of stderr above 100\n");
    if (dup2(copy, 77) != 77) abort();
    say(77, "through descriptor 77\n");
    close(77);
    FILE *stream = fdopen(copy, "w");
    fprintf(stream, "through a stream on a copy of stdout\n");
    fclose(stream);
    close(far);
    reopened("/dev/stdout", "through /dev/stdout\n");
    reopened("/proc/self/fd/1", "through /proc/self/fd/1\n");
    reopened("/dev/fd/1", "through /dev/fd/1\n");
}

/* stdout goes into a file for a while and then comes back: the file is not stdout. */
static void away_and_back(void) {
    int kept = dup(STDOUT_FILENO);
    int file = open("elsewhere.txt", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(file, STDOUT_FILENO);
    say(STDOUT_FILENO, "this line is for elsewhere.txt alone\n");
    dup2(kept, STDOUT_FILENO);
    close(kept);
    close(file);
    say(STDOUT_FILENO, "stdout is back\n");
}

static void log_file(void) {
    int log = open("calls.log", O_RDWR | O_CREAT | O_TRUNC, 0644);
    int number = log;
    say(log, "write to the log\n");
    struct iovec parts[2] = {{"writev to ", 10}, {"the log\n", 8}};
    if (writev(log, parts, 2) != 18) abort();
    off_t end = lseek(log, 0, SEEK_END);
    if (pwrite(log, "pwrite to the log\n", 18, end) != 18) abort();
    if (pwritev(log, parts, 2, end + 18) != 18) abort();
#ifdef __GLIBC__
    if (pwritev2(log, parts, 2, end + 36, 0) != 18) abort();
#endif
    lseek(log, 0, SEEK_END);

    int source = open("source.txt", O_RDWR | O_CREAT | O_TRUNC, 0644);
    say(source, "sendfile to the log\ncopy_file_range to the log\n");
    off_t from = 0;
    if (sendfile(log, source, &from, 20) != 20) abort();
    loff_t position = 20;
    ssize_t copied = copy_file_range(source, &position, log, NULL, 27, 0);
    if (copied < 0 && (errno == EXDEV || errno == ENOSYS || errno == EINVAL)) say(log, "copy_file_range to the log\n");
    else if (copied != 27) abort();
    close(source);

    /* A short look at the same file through another descriptor. */
    int second = open("calls.log", O_WRONLY | O_APPEND);
    say(second, "appended through a second descriptor\n");
    close(second);
    close(log);

    int secret = open("secret.key", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (secret != number) abort();
    say(secret, "a secret that no log may show\n");
    close(secret);
}

/* Failures and errno are the program's business and must look as ever. */
static void failures(void) {
    struct { const char *what; int descriptor; const void *text; size_t length; } tries[] = {
        {"closed descriptor", 999, "x", 1},
        {"bad address", STDOUT_FILENO, (void *)8, 4},
        {"nothing", STDOUT_FILENO, "", 0},
    };
    for (size_t index = 0; index < sizeof tries / sizeof *tries; index++) {
        errno = 0;
        ssize_t result = write(tries[index].descriptor, tries[index].text, tries[index].length);
        dprintf(STDERR_FILENO, "%s: %zd %s\n", tries[index].what, result, strerror(errno));
    }
    int full = open("/dev/full", O_WRONLY);
    errno = 0;
    ssize_t result = write(full, "x", 1);
    dprintf(STDERR_FILENO, "full device: %zd %s\n", result, strerror(errno));
    close(full);
    errno = EDOM;
    say(STDOUT_FILENO, "errno is kept\n");
    dprintf(STDERR_FILENO, "errno after a write that worked: %s\n", strerror(errno));
}

int main(void) {
    for (int round = 0; round < 20; round++) descriptors();
    away_and_back();
    log_file();
    failures();
    return 0;
}
