/* Five thousand log files, 4,096 of them open at one time. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fcntl.h>

enum { FILES = 5000, OPEN = 4096 };

static int descriptors[FILES];

static int add(int number, const char *what) {
    char line[64];
    int length = snprintf(line, sizeof line, "%s of %d\n", what, number);
    return write(descriptors[number], line, (size_t)length) == length ? 0 : 1;
}

static int start(int number) {
    char name[64];
    snprintf(name, sizeof name, "logs/%d.log", number);
    descriptors[number] = open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);
    return descriptors[number] < 0 ? 1 : add(number, "first");
}

int main(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < OPEN + 64 || setrlimit(RLIMIT_NOFILE, &limit) != 0) return 77;
    if (mkdir("logs", 0755) != 0) return 3;
    for (int number = 0; number < OPEN; number++) if (start(number)) return 4;
    for (int number = 0; number < OPEN; number++) if (add(number, "second")) return 5;
    for (int number = OPEN; number < FILES; number++) {
        if (add(number - OPEN, "last") || close(descriptors[number - OPEN]) != 0) return 6;
        if (start(number)) return 7;
    }
    for (int number = FILES - OPEN; number < FILES; number++) if (add(number, "last")) return 8;
    return 0;
}
