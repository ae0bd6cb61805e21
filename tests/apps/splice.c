/* Moves a line from a pipe to stdout inside the kernel: what left a pipe cannot be copied any more. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

int main(void) {
    int ends[2];
    if (pipe(ends) != 0 || write(1, "before\n", 7) != 7) return 1;
    if (write(ends[1], "spliced line\n", 13) != 13 || splice(ends[0], NULL, 1, NULL, 13, 0) != 13) return 2;
    return write(1, "after\n", 6) == 6 ? 0 : 3;
}
