/* Log files through C's standard library: fopen, rotation by rename, freopen, close and reuse. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static FILE *opened(const char *path, const char *mode) {
    FILE *file = fopen(path, mode);
    if (file == NULL) abort();
    return file;
}

int main(void) {
    FILE *log = opened("app.log", "a");
    for (int line = 0; line < 3000; line++) fprintf(log, "line %d of the log file, long enough to fill its buffer\n", line);
    fflush(log);
    /* A renamed log is still the same log. */
    rename("app.log", "app.log.1");
    fprintf(log, "written after the rename\n");
    fclose(log);

    FILE *secret = opened("secret.key", "w");
    fprintf(secret, "a secret that no log may show\n");
    fclose(secret);

    log = opened("app.log", "a");
    fprintf(log, "the new log after the rotation\n");
    printf("stdout before it is reopened\n");
    fflush(stdout);
    if (freopen("app.log", "a", stdout) == NULL) abort();
    fflush(log);
    printf("stdout is the log now\n");
    fflush(stdout);
    if (freopen("secret.key", "a", stdout) == NULL) abort();
    printf("stdout is a secret now\n");
    fflush(stdout);
    fprintf(log, "the last line of the log\n");
    fclose(log);
    fprintf(stderr, "stderr was never moved\n");
    return 0;
}
