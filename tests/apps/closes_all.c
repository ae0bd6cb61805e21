/* A daemon of the old school: it forks, closes every descriptor, opens its log, and lives on for a
   moment after its parent has gone. The parent waits until the daemon has opened its log, then ends. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void serve(void) {
    setsid();
    for (int descriptor = 0; descriptor < 1024; descriptor++) close(descriptor);
    /* The first numbers are free now, and the log gets them. */
    FILE *log = fopen("daemon.log", "w");
    if (log == NULL) _exit(1);
    for (int line = 0; line < 200; line++) {
        fprintf(log, "daemon line %d\n", line);
        fflush(log);
    }
    FILE *data = fopen("data.db", "w");
    fprintf(data, "data that is no log\n");
    fclose(data);
    fprintf(log, "the daemon ends\n");
    fclose(log);
    _exit(0);
}

int main(void) {
    printf("starting the daemon\n");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) serve();
    int status;
    waitpid(child, &status, 0);
    printf("the daemon was started\n");
    return 0;
}
