/* What the programs of this directory share: a main that plays the situation which its first argument names, and a way
   to write that does not go through stdio. What is written to a file in capital letters must never be captured. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends at once, with the line that failed in the status of the caller's log. */
#define need(condition) \
    do { \
        if (!(condition)) { \
            dprintf(2, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
            _exit(98); \
        } \
    } while (0)

static inline void put(int descriptor, const char *text) {
    need(write(descriptor, text, strlen(text)) == (ssize_t)strlen(text));
}

static inline void say(const char *text) { put(1, text); }

static inline int private_file(void) {
    int file = open("private.key", O_CREAT | O_RDWR | O_TRUNC, 0600);
    need(file >= 0);
    return file;
}

static inline int log_file(const char *name) {
    int file = open(name, O_CREAT | O_WRONLY | O_APPEND, 0644);
    need(file >= 0);
    return file;
}

static inline int status_of(pid_t child) {
    int status = 0;
    need(waitpid(child, &status, 0) == child);
    return status;
}

/* Stops a program after every instruction, where the processor can: SIGTRAP comes after each one between the two. */
#ifdef __x86_64__
#define STEP_ON "lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp"
#define STEP_OFF "lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp"
#else
#define STEP_ON ""
#define STEP_OFF ""
#endif

struct situation {
    const char *name;
    void (*play)(void);
};

/* The program itself, for situations that start it again. */
static char **program;

#define SITUATIONS(...) \
    int main(int count, char **arguments) { \
        static const struct situation all[] = {__VA_ARGS__}; \
        program = arguments; \
        for (size_t index = 0; count > 1 && index < sizeof all / sizeof *all; index++) { \
            if (strcmp(all[index].name, arguments[1]) == 0) { \
                all[index].play(); \
                return 0; \
            } \
        } \
        return 99; \
    }
#define A(name) {#name, name}
