/* A library to be preloaded: it makes the files of one directory fail as a broken or slow disk does, and moves the
 * clock on the wall. What it does is said by the words of a file, which is read at every call, so that a test begins
 * and ends a fault when it likes. Refuses to touch any other file, and calls the kernel itself.
 *
 *   write      writes fail with EIO                 half       half of it is written, then the same
 *   sync       fsync and fdatasync fail with EIO    rename     renames fail with EIO
 *   truncate   so does cutting a file               create     and making one
 *   unlink     and removing one
 *   stuck      writes wait until the word is gone   only=TEXT  faults are for files with TEXT in their path alone
 *   clock=N    the clock on the wall is N seconds ahead
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *directory;
static const char *control;

__attribute__((constructor)) static void begin(void) {
    directory = getenv("FAULTY_DIRECTORY");
    control = getenv("FAULTY_CONTROL");
}

static void words(char *text, size_t size) {
    text[0] = '\0';
    if (control == NULL) return;
    int file = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return;
    long length = syscall(SYS_read, file, text, size - 1);
    syscall(SYS_close, file);
    text[length > 0 ? length : 0] = '\0';
}

/* The value of a word, empty for one without; NULL if it is not there. */
static const char *find(char *text, const char *word, char *copy, size_t size) {
    snprintf(copy, size, "%s", text);
    size_t length = strlen(word);
    char *rest = copy;
    for (char *part; (part = strsep(&rest, " \n")) != NULL;) {
        if (strncmp(part, word, length) == 0 && (part[length] == '\0' || part[length] == '='))
            return part + length + (part[length] == '=');
    }
    return NULL;
}

static int path_has(const char *path, const char *word) {
    char text[256], copy[256];
    int kept = errno, fails = 0;
    if (directory != NULL && strncmp(path, directory, strlen(directory)) == 0) {
        words(text, sizeof text);
        const char *only = find(text, "only", copy, sizeof copy);
        if (only == NULL || strstr(path, only) != NULL) fails = find(text, word, copy, sizeof copy) != NULL;
    }
    errno = kept;
    return fails;
}

static int file_has(int file, const char *word) {
    char name[64], path[PATH_MAX];
    int kept = errno;
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, path, sizeof path - 1);
    errno = kept;
    if (length <= 0) return 0;
    path[length] = '\0';
    return path_has(path, word);
}

static int broken(void) {
    errno = EIO;
    return -1;
}

static ssize_t put(int file, const void *bytes, size_t size) {
    const struct timespec moment = {0, 2000000};
    while (file_has(file, "stuck")) nanosleep(&moment, NULL);
    if (file_has(file, "half")) {
        syscall(SYS_write, file, bytes, size / 2);
        return broken();
    }
    return file_has(file, "write") ? broken() : syscall(SYS_write, file, bytes, size);
}

ssize_t write(int file, const void *bytes, size_t size) { return put(file, bytes, size); }

ssize_t writev(int file, const struct iovec *pieces, int count) {
    /* A short write is one that its caller goes on from. */
    if (count > 0 && (file_has(file, "stuck") || file_has(file, "half") || file_has(file, "write")))
        return put(file, pieces[0].iov_base, pieces[0].iov_len);
    return syscall(SYS_writev, file, pieces, count);
}

int fsync(int file) { return file_has(file, "sync") ? broken() : (int)syscall(SYS_fsync, file); }

int fdatasync(int file) { return file_has(file, "sync") ? broken() : (int)syscall(SYS_fdatasync, file); }

int rename(const char *from, const char *to) {
    return path_has(to, "rename") ? broken() : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path) {
    return path_has(path, "unlink") ? broken() : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int ftruncate64(int file, off64_t length) {
    return file_has(file, "truncate") ? broken() : (int)syscall(SYS_ftruncate, file, length);
}

int ftruncate(int file, off_t length) { return ftruncate64(file, length); }

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (flags & O_CREAT && access(path, F_OK) != 0 && path_has(path, "create")) return broken();
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    long outcome = syscall(SYS_clock_gettime, clock, time);
    if (outcome == 0 && clock == CLOCK_REALTIME) {
        char text[256], copy[256];
        int kept = errno;
        words(text, sizeof text);
        const char *ahead = find(text, "clock", copy, sizeof copy);
        if (ahead != NULL) time->tv_sec += atol(ahead);
        errno = kept;
    }
    return (int)outcome;
}
