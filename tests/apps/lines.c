/* Lines of every shape: empty, very long, not UTF-8, many in one write, without an end. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void all(const char *text, size_t length) {
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, text, length);
        if (written <= 0) abort();
        text += written;
        length -= (size_t)written;
    }
}

/* A text with zero bytes in it as well. */
#define TEXT(text) all(text, sizeof(text) - 1)

int main(void) {
    TEXT("\n");
    TEXT("one\n\n\ntwo after two empty ones\n");
    TEXT("latin-1 \xe4\xf6\xfc and a lone \xff\n");
    TEXT("cut UTF-8 \xe2\x82\n");
    TEXT("zero \0 byte, tab \t, escape \x1b[31m\n");
    TEXT("\xef\xbf\xbd is the replacement itself\n");

    /* Two megabytes of short lines in one write. */
    size_t size = 2 << 20;
    char *block = malloc(size);
    for (size_t at = 0; at < size; at += 32) {
        snprintf(block + at, 32, "line at %-22zu", at);
        block[at + 31] = '\n';
    }
    all(block, size);

    /* One line of 900 kilobytes, and one in small pieces. */
    size_t length = 900 * 1000;
    memset(block, 'x', length);
    block[length] = '\n';
    all(block, length + 1);
    for (int piece = 0; piece < 300; piece++) TEXT("a piece of a line, ");
    TEXT("\n");
    free(block);
    TEXT("the last line has no end");
    return 0;
}
