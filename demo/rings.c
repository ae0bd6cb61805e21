/* Prints what the rings of a tap directory hold, without a collector: how a sink in C reads them.
 *
 *     cc -I preload/include -o rings demo/rings.c
 *     ./rings DIR            prints "STREAM PID TICKET BYTES" and the bytes of every record
 *
 * It only looks: it moves no tail, so a collector that comes later finds everything still there. A real sink reads
 * in the same order (word, then bytes), checks its own copy, and then stores the tail of the lane with one
 * aligned eight-byte pwrite. It never maps a ring: the application could cut the file under it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "logtap_wire.h"

/* A record and where its bytes are. */
struct found {
    struct logtap_record_header header;
    char stream[512];
    unsigned char *payload;
};

static struct found *records;
static size_t count, room;

static int by_ticket(const void *left, const void *right) {
    const struct found *a = left, *b = right;
    if (a->header.ticket != b->header.ticket) return a->header.ticket < b->header.ticket ? -1 : 1;
    return (int)a->header.fragment - (int)b->header.fragment;
}

static void fail(const char *what, const char *name) {
    fprintf(stderr, "%s: %s\n", name, what);
    exit(1);
}

static void *get(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) fail("out of memory", "rings");
    return memory;
}

/* The name of a slot of the stream table: stdout, stderr, or a file's path. */
static void name_stream(int file, unsigned slot, char *name, size_t size) {
    struct logtap_stream_slot entry;
    off_t at = LOGTAP_STREAMS_OFFSET + (off_t)slot * (off_t)sizeof entry;
    snprintf(name, size, "?");
    if (slot >= LOGTAP_MAX_STREAMS || pread(file, &entry, sizeof entry, at) != sizeof entry) return;
    if (entry.kind == LOGTAP_STREAM_KIND_STDOUT) snprintf(name, size, "stdout");
    if (entry.kind == LOGTAP_STREAM_KIND_STDERR) snprintf(name, size, "stderr");
    if (entry.kind == LOGTAP_STREAM_KIND_FILE) {
        size_t offset = entry.path >> 16, length = entry.path & 0xffff;
        if (offset + length > LOGTAP_ARENA_SIZE || length >= size) return;
        if (pread(file, name, length, LOGTAP_ARENA_OFFSET + (off_t)offset) == (ssize_t)length) name[length] = 0;
    }
}

/* Copies one lane's records. Nothing of what is read is believed before it is checked. */
static void read_lane(int file, const char *path, unsigned lane, uint64_t lane_size) {
    off_t at = LOGTAP_LANES_OFFSET + (off_t)lane * (off_t)sizeof(struct logtap_lane);
    uint64_t word, tail;
    if (pread(file, &word, 8, at) != 8) fail("cannot be read", path);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (pread(file, &tail, 8, at + (off_t)offsetof(struct logtap_lane, tail)) != 8) fail("cannot be read", path);
    uint64_t head = word >> 1, length = head - tail;
    if (length > lane_size) fail("a lane's tail is beyond its head", path);
    off_t data = LOGTAP_DATA_OFFSET + (off_t)(lane * lane_size);
    unsigned char *bytes = get(length + 1);
    uint64_t start = tail % lane_size, first = length < lane_size - start ? length : lane_size - start;
    if (pread(file, bytes, first, data + (off_t)start) != (ssize_t)first) fail("cannot be read", path);
    if (pread(file, bytes + first, length - first, data) != (ssize_t)(length - first)) fail("cannot be read", path);
    for (uint64_t offset = 0; offset < length;) {
        struct found found;
        if (length - offset < LOGTAP_HEADER_SIZE) fail("half a record", path);
        memcpy(&found.header, bytes + offset, sizeof found.header);
        uint64_t size = (LOGTAP_HEADER_SIZE + (uint64_t)found.header.length + LOGTAP_ALIGNMENT - 1) &
                        ~(uint64_t)(LOGTAP_ALIGNMENT - 1);
        if (size > length - offset) fail("half a record", path);
        name_stream(file, found.header.slot, found.stream, sizeof found.stream);
        found.payload = bytes + offset + LOGTAP_HEADER_SIZE;
        offset += size;
        if (found.header.flags & LOGTAP_FLAG_NOTE) continue;
        if (count == room) {
            room = room ? room * 2 : 64;
            records = realloc(records, room * sizeof *records);
            if (records == NULL) fail("out of memory", "rings");
        }
        records[count++] = found;
    }
}

static void read_ring(const char *path) {
    int file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct logtap_ring_header header;
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0 || pread(file, &header, sizeof header, 0) != sizeof header)
        fail("cannot be read", path);
    if (header.magic != LOGTAP_RING_MAGIC || header.version != LOGTAP_VERSION) fail("no ring of this version", path);
    uint64_t size = LOGTAP_DATA_OFFSET + (uint64_t)header.lanes * header.lane_size;
    if (header.lanes == 0 || header.lanes > LOGTAP_MAX_LANES || size != (uint64_t)status.st_size)
        fail("impossible geometry", path);
    for (unsigned lane = 0; lane < header.lanes; lane++) read_lane(file, path, lane, header.lane_size);
    close(file);
}

int main(int arguments, char **argument) {
    if (arguments != 2) fail("the tap directory is missing", "usage: rings DIR");
    DIR *directory = opendir(argument[1]);
    if (directory == NULL) fail("cannot be opened", argument[1]);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".ring") != 0) continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argument[1], entry->d_name);
        read_ring(path);
    }
    closedir(directory);
    if (count > 0) qsort(records, count, sizeof *records, by_ticket);
    for (size_t at = 0; at < count; at++) {
        const struct logtap_record_header *header = &records[at].header;
        printf("%s %u %llu %u\n", records[at].stream, header->pid, (unsigned long long)header->ticket, header->length);
        fwrite(records[at].payload, 1, header->length, stdout);
        if (header->length == 0 || records[at].payload[header->length - 1] != '\n') putchar('\n');
    }
    return 0;
}
