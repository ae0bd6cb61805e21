/* A preload of somebody else: counts the writes and closes that pass it, and leaves the numbers in the file that
   INTERPOSER_COUNTS names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int writes, closes;

ssize_t write(int descriptor, const void *buffer, size_t length) {
    writes++;
    return ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(descriptor, buffer, length);
}

int close(int descriptor) {
    closes++;
    return ((int (*)(int))dlsym(RTLD_NEXT, "close"))(descriptor);
}

__attribute__((destructor)) static void last(void) {
    char *path = getenv("INTERPOSER_COUNTS");
    FILE *file = path == NULL ? NULL : fopen(path, "w");
    int seen_writes = writes, seen_closes = closes;
    if (file != NULL) {
        fprintf(file, "write %d close %d\n", seen_writes, seen_closes);
        fclose(file);
    }
}
