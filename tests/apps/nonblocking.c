/* stdout does not block: writes are partial or refused, and what the kernel took is what counts. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
    size_t size = 1 << 20;
    char *block = malloc(size + 64);
    for (size_t at = 0; at < size; at += 64) {
        snprintf(block + at, 64, "line %-57zu", at / 64);
        block[at + 63] = '\n';
    }
    size_t done = 0;
    while (done < size) {
        ssize_t written = write(STDOUT_FILENO, block + done, size - done);
        if (written > 0) {
            done += (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {STDOUT_FILENO, POLLOUT, 0};
            poll(&ready, 1, -1);
        } else {
            return 1;
        }
    }
    return 0;
}
