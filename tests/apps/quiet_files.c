/* A single thread between two marks (getppid), with log files, duplicates, a vforked program and the first write of
   stdio: for comparing what the kernel is asked. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    static char buffer[4096];
    setvbuf(stdout, buffer, _IOLBF, sizeof buffer);
    getppid();
    printf("the first line of stdio\n");
    int log = open("app.log", O_CREAT | O_RDWR | O_TRUNC, 0644);
    for (int line = 0; line < 10; line++)
        if (write(log, "by write\n", 9) != 9) return 1;
    struct iovec parts[2] = {{"by ", 3}, {"writev\n", 7}};
    if (writev(log, parts, 2) != 10 || pwrite(log, "by pwrite\n", 10, 100) != 10) return 2;
    if (syscall(SYS_write, log, "by syscall\n", 11) != 11) return 3;
    int copy = fcntl(log, F_DUPFD_CLOEXEC, 10);
    if (write(copy, "by a copy\n", 10) != 10) return 4;
    close(copy);
    char *map = mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_SHARED, log, 0);
    munmap(map, 100);
    close(log);
    int other = open("other.txt", O_CREAT | O_WRONLY | O_TRUNC, 0644);
    for (int line = 0; line < 10; line++)
        if (write(other, "no log\n", 7) != 7) return 5;
    int kept = dup(1);
    dup2(other, 1);
    printf("no stdout\n");
    dup2(kept, 1);
    close(kept);
    close(other);
    printf("stdout again\n");
    dprintf(1, "by dprintf %d\n", 5);
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    printf("after the child\n");
    FILE *stream = fopen("app.log", "a");
    fprintf(stream, "by stdio\n");
    fclose(stream);
    fputs("an error\n", stderr);
    getppid();
    return 0;
}
