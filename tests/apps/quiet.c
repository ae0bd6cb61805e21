/* A single thread that makes system calls between two marks (getppid): for comparing what the kernel is asked. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    getppid();
    for (int line = 0; line < 40; line++) {
        if (write(1, "by write\n", 9) != 9) return 1;
        printf("by printf %d\n", line);
        fflush(stdout);
    }
    int file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (int line = 0; line < 5; line++)
        if (write(file, "elsewhere\n", 10) != 10) return 2;
    int copy = dup(1);
    if (write(copy, "by a duplicate\n", 15) != 15) return 3;
    close(copy);
    close(file);
    FILE *stream = fopen("/dev/null", "w");
    fputs("elsewhere too\n", stream);
    fclose(stream);
    getppid();
    return 0;
}
