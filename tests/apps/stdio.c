/* Every way of C's standard library to write text, each in lines that say where they came from.
   With an argument that is "flush", stdout is flushed after each line, so that the order of both
   streams is fixed also where stdout is a pipe. */
#define _GNU_SOURCE
#include <errno.h>
#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <error.h>
#endif

static void through_va_list(FILE *stream, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stream, format, arguments);
    va_end(arguments);
}

int main(int count, char **arguments) {
    int flush = count > 1 && strcmp(arguments[1], "flush") == 0;
    for (int round = 0; round < 50; round++) {
        printf("printf %d\n", round);
        puts("puts");
        fputs("fputs\n", stdout);
        fwrite("fwrite\n", 1, 7, stdout);
        for (const char *letter = "putchar\n"; *letter; letter++) putchar(*letter);
        for (const char *letter = "putc\n"; *letter; letter++) putc(*letter, stdout);
        through_va_list(stdout, "vfprintf %s %5.2f\n", "text", 1.5);
        putc_unlocked('u', stdout);
        putc_unlocked('\n', stdout);
        if (flush) fflush(stdout);
        fprintf(stderr, "fprintf to stderr %d %s\n", round, "in parts");
        fputs("fputs to stderr\n", stderr);
        fwrite("fwrite to stderr\n", 1, 17, stderr);
        for (const char *letter = "putc to stderr\n"; *letter; letter++) putc(*letter, stderr);
        errno = ENOENT;
        perror("perror");
        errno = EACCES;
        warn("warn");
        warnx("warnx %d", round);
#ifdef __GLIBC__
        error(0, ENOSPC, "error");
#endif
        fflush(stdout);
        dprintf(STDOUT_FILENO, "dprintf %d %s\n", round, "to stdout");
        dprintf(STDERR_FILENO, "dprintf %d %s\n", round, "to stderr");
    }
    setvbuf(stderr, NULL, _IOFBF, 4096);
    fprintf(stderr, "stderr with a buffer\n");
    fflush(stderr);
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("stdout without a buffer, %s, %s\n", "first", "second");
    return 7;
}
