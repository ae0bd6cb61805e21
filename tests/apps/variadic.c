/* What is printed with more arguments than there are registers for, of every class, in short texts and in long
   ones: the library stands between the caller and each va_list. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int through_va_list(int descriptor, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vdprintf(descriptor, format, arguments);
    va_end(arguments);
    return length;
}

static char long_text[3000];

static void print(int descriptor, int round) {
    errno = EDOM;
    int length = dprintf(descriptor, "%d %d %d %d %d %d %d %d %d %d\n", round, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    length += dprintf(descriptor, "%.1f %.2f %.3f %.1f %.1f %.1f %.1f %.1f %.1f %.1f\n",
        0.5, 1.25, 2.125, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5);
    length += dprintf(descriptor, "%s %.1f %d %ld %c %.2f %p %.1f %s %d %.1f %x %.1f %.1f %d %s\n", "text", 1.5, round,
        1L << 40, 'c', 2.25, (void *)0, 3.5, "more", 7, 4.5, 0xbeef, 5.5, 6.5, 8, "end");
    length += through_va_list(descriptor, "%s %.1f %d %.1f %d %.1f %d %d %d %d %d %d\n", "va_list", 1.5, 2, 2.5, 3, 3.5,
        4, 5, 6, 7, 8, 9);
    length += dprintf(descriptor, "%d %s %.1f\n", round, long_text, 1.5);
    length += through_va_list(descriptor, "%.1Lf %s\n", 1.5L, "a long double");
    printf("%d bytes, errno %s\n", length, errno == EDOM ? "kept" : strerror(errno));
    printf("%d %d %d %d %d %d %d %d %d %.1f %.1f %.1f %.1f %.1f %.1f %.1f %.1f %.1f\n", round, 2, 3, 4, 5, 6, 7, 8, 9,
        0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5);
    fflush(stdout);
}

int main(void) {
    memset(long_text, 'x', sizeof long_text - 1);
    for (int round = 0; round < 20; round++) {
        print(STDOUT_FILENO, round);
        print(STDERR_FILENO, round);
    }
    errno = 0;
    int failed = dprintf(999, "%s\n", "nowhere");
    dprintf(STDERR_FILENO, "closed descriptor: %d %s\n", failed, strerror(errno));
    return 3;
}
