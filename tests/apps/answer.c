/* A library that somebody preloads already: whoever asks for the parent's number hears 42. */
#include <sys/types.h>

pid_t getppid(void) {
    return 42;
}
