/* A line through an io_uring, set up by nothing but system calls; ends with 77 where the kernel has none to give. */
#include "situation.h"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define AT(base, offset, type) (*(type *)((char *)(base) + (offset)))

static void line_through_a_ring(void) {
    say("by write\n");
    struct io_uring_params settings;
    memset(&settings, 0, sizeof settings);
    int ring = (int)syscall(SYS_io_uring_setup, 4, &settings);
    if (ring < 0) _exit(77);
    int flags = MAP_SHARED | MAP_POPULATE, access = PROT_READ | PROT_WRITE;
    size_t submission_size = settings.sq_off.array + settings.sq_entries * sizeof(unsigned);
    void *submission = mmap(NULL, submission_size, access, flags, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry = mmap(NULL, 4 * sizeof *entry, access, flags, ring, IORING_OFF_SQES);
    need(submission != MAP_FAILED && (void *)entry != MAP_FAILED);
    static char text[] = "by io_uring\n";
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_WRITE;
    entry->fd = 1;
    entry->addr = (unsigned long)text;
    entry->len = sizeof text - 1;
    entry->off = (unsigned long)-1;
    unsigned *tail = &AT(submission, settings.sq_off.tail, unsigned);
    unsigned mask = AT(submission, settings.sq_off.ring_mask, unsigned);
    (&AT(submission, settings.sq_off.array, unsigned))[*tail & mask] = 0;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    need(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1);
    say("by write again\n");
}

SITUATIONS(A(line_through_a_ring))
