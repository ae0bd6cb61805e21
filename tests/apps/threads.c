/* Threads that write at the same time, each through stdio and through write, with their number as
   the first word. Arguments: threads, lines per thread. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long lines;

static void *writer(void *argument) {
    long number = (long)argument;
    char text[128];
    for (long line = 0; line < lines; line++) {
        int length = snprintf(text, sizeof text, "%ld line %ld of this thread, by write\n", number, line);
        if (write(STDOUT_FILENO, text, (size_t)length) != length) abort();
        if (line % 10 == 0) {
            length = snprintf(text, sizeof text, "e%ld line %ld of this thread, on stderr\n", number, line);
            if (write(STDERR_FILENO, text, (size_t)length) != length) abort();
        }
        if (line % 16 == 0) {
            flockfile(stdout);
            printf("s%ld line %ld of this thread, by printf\n", number, line);
            fflush(stdout);
            funlockfile(stdout);
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    long threads = count > 1 ? atol(arguments[1]) : 4;
    lines = count > 2 ? atol(arguments[2]) : 2000;
    pthread_t *running = calloc((size_t)threads, sizeof *running);
    for (long number = 0; number < threads; number++) pthread_create(&running[number], NULL, writer, (void *)number);
    for (long number = 0; number < threads; number++) pthread_join(running[number], NULL);
    free(running);
    return 0;
}
