/* Standard output and standard error are one object: which of them a descriptor is, only its origin tells. Each line says
   what it belongs to. */
#include "situation.h"

#include <sys/syscall.h>

/* The lowest number that is free is a duplicate of standard error. */
static int duplicate(void) {
    int copy = dup(2);
    need(copy > 2);
    put(copy, "stderr by its origin\n");
    return copy;
}

/* The number is free, and what is opened under it by name is standard output. */
static void is_free(int number) {
    int file = open("/proc/self/fd/1", O_WRONLY);
    need(file == number);
    put(file, "stdout by its name\n");
    need(close(file) == 0);
}

static void closed(void) {
    int copy = duplicate();
    need(close(copy) == 0);
    is_free(copy);
}

static void closed_by_system_call(void) {
    int copy = duplicate();
    need(syscall(SYS_close, copy) == 0);
    is_free(copy);
}

static void closed_as_a_range(void) {
    int copy = duplicate();
    if (syscall(SYS_close_range, copy, copy, 0) != 0) need(close(copy) == 0);
    is_free(copy);
}

static void closed_by_stdio(void) {
    int copy = duplicate();
    FILE *file = fdopen(copy, "w");
    need(file != NULL && fclose(file) == 0);
    is_free(copy);
}

static void reopened_by_stdio(void) {
    FILE *file = fdopen(duplicate(), "w");
    need(file != NULL);
    file = freopen("/proc/self/fd/1", "w", file);
    need(file != NULL);
    put(fileno(file), "stdout by its name\n");
    need(fclose(file) == 0);
}

static void closed_at_exec_only(void) {
    int copy = duplicate();
    /* Refused by old kernels; nothing is closed either way. */
    syscall(SYS_close_range, copy, copy, 4);
    put(copy, "stderr by its origin\n");
    need(close(copy) == 0);
}

static void closed_in_a_child_of_vfork(void) {
    int copy = duplicate();
    pid_t child = vfork();
    need(child >= 0);
    if (child == 0) {
        close(copy);
        _exit(0);
    }
    need(status_of(child) == 0);
    put(copy, "stderr by its origin\n");
    need(close(copy) == 0);
}

static void standard_error_itself(void) {
    need(close(2) == 0);
    need(open("/proc/self/fd/1", O_WRONLY) == 2);
    put(2, "stderr by its number\n");
}

SITUATIONS(A(closed), A(closed_by_system_call), A(closed_as_a_range), A(closed_by_stdio), A(reopened_by_stdio),
           A(closed_at_exec_only), A(closed_in_a_child_of_vfork), A(standard_error_itself))
