/* The layouts that liblogtap.so and the collector share, for readers and sinks in C or Go.
   crates/wire/src says what every field means and how a lane is read without locking anybody out. */

#ifndef LOGTAP_WIRE_H
#define LOGTAP_WIRE_H

/* Written by cbindgen from crates/wire. Do not edit: see tests/header.rs. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* Shared with other processes: read and write them as whole words (for example with __atomic_load_n). */
typedef uint32_t LOGTAP_AtomicU32;
typedef uint64_t LOGTAP_AtomicU64;
#define LOGTAP_ALIGNED(n) __attribute__((aligned(n)))

// Version of all layouts in this crate. A reader refuses any other.
#define LOGTAP_VERSION 1

// First eight bytes of a control page.
#define LOGTAP_CONTROL_MAGIC 3549804495165157228

// Size of the file and of the mapping in bytes.
#define LOGTAP_CONTROL_SIZE 4096

// Default of [`ControlPage::ring_cap`]: bytes that all rings of a directory may take together.
#define LOGTAP_DEFAULT_RING_CAP (64 << 20)

// Most records that one counter can hold. Each takes a write of its own on a cache line that all writers share: at
// 100 million a second this takes a month, and what is in memory does not outlive the machine's start.
#define LOGTAP_MOST_RECORDS 281474976710656

// Most bytes that one counter can hold: an exabyte.
#define LOGTAP_MOST_BYTES 1152921504606846976

// First eight bytes of a frame.
#define LOGTAP_FRAME_MAGIC 3550648920095289196

// Bytes before the path.
#define LOGTAP_FRAME_HEADER_SIZE (24 + LOGTAP_HEADER_SIZE)

// Largest payload of one frame. Longer writes become several frames of one ticket.
#define LOGTAP_MAX_PAYLOAD (32 << 10)

// Longest path in a frame.
#define LOGTAP_MAX_PATH 4096

// First eight bytes of the page.
#define LOGTAP_RAW_MAGIC 3554308094792527724

// The target is `socket:`.
#define LOGTAP_KIND_SOCKET 1

// The target is `file:`.
#define LOGTAP_KIND_FILE 2

// Bytes of a record's header.
#define LOGTAP_HEADER_SIZE 48

// Records begin at multiples of this.
#define LOGTAP_ALIGNMENT 8

// The call goes on in a further fragment with the same ticket.
#define LOGTAP_FLAG_MORE 1

// The original write was suppressed: these bytes are nowhere else.
#define LOGTAP_FLAG_SUPPRESSED 2

// The payload is a note of the library, not of the application (see [`Note`]).
#define LOGTAP_FLAG_NOTE 4

// First eight bytes of a ring.
#define LOGTAP_RING_MAGIC 3554026619815817068

// Room in the header for lanes.
#define LOGTAP_MAX_LANES 16

// Slots of the stream table.
#define LOGTAP_MAX_STREAMS 64

// Bytes of the path arena, shared by all slots.
#define LOGTAP_ARENA_SIZE (LOGTAP_DATA_OFFSET - LOGTAP_ARENA_OFFSET)

// Slot of standard output. It is always in use.
#define LOGTAP_SLOT_STDOUT 0

// Slot of standard error. It is always in use.
#define LOGTAP_SLOT_STDERR 1

// First slot of files.
#define LOGTAP_SLOT_FILES 2

// Where the lanes' words begin.
#define LOGTAP_LANES_OFFSET 4096

// Where the stream table begins.
#define LOGTAP_STREAMS_OFFSET 8192

// Where the path arena begins.
#define LOGTAP_ARENA_OFFSET 11264

// Where the lanes' data begins.
#define LOGTAP_DATA_OFFSET 16384

// The collector's lease lasts so many nanoseconds after it was written.
#define LOGTAP_LEASE_NANOSECONDS 2000000000

// Set in [`Header::state`]: writers should open a new ring.
#define LOGTAP_STATE_RETIRED 1

// Hooks of `write` and its family through the dynamic symbol table.
#define LOGTAP_COVERAGE_PLT 1

// glibc's stdio, narrow.
#define LOGTAP_COVERAGE_STDIO 2

// glibc's stdio, wide.
#define LOGTAP_COVERAGE_WIDE 4

// musl's stdio.
#define LOGTAP_COVERAGE_MUSL 8

// The process set up an io_uring: what it writes that way is not seen.
#define LOGTAP_SEEN_IO_URING (1 << 16)

// The process spliced into a tapped stream: counted as lost.
#define LOGTAP_SEEN_SPLICE (1 << 17)

// The process entered a sandbox: the library makes no system call of its own any more.
#define LOGTAP_SEEN_SANDBOX (1 << 18)

// The process mapped a tapped file to write to it: what it stores that way is not seen.
#define LOGTAP_SEEN_MAPPED (1 << 19)

// A slot that is being filled in.
#define LOGTAP_SLOT_CLAIMED 255

// The word of a lane whose holder was taken away: no head, since those are multiples of 8.
#define LOGTAP_Pending_NONE UINT64_MAX

// Largest length that the word can hold.
#define LOGTAP_Pending_MAX_LENGTH ((1 << 24) - 1)

// What kind of stream a slot or a frame is.
enum logtap_stream_kind
#if __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // __STDC_VERSION__ >= 202311L
 {
  // Standard output.
  LOGTAP_STREAM_KIND_STDOUT = 1,
  // Standard error.
  LOGTAP_STREAM_KIND_STDERR = 2,
  // A file; it has a path.
  LOGTAP_STREAM_KIND_FILE = 3,
};
#if __STDC_VERSION__ >= 202311L
typedef enum logtap_stream_kind logtap_stream_kind;
#else
typedef uint8_t logtap_stream_kind;
#endif // __STDC_VERSION__ >= 202311L

// What a record with [`FLAG_NOTE`] tells. The first byte of its payload is the kind.
enum logtap_note
#if __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // __STDC_VERSION__ >= 202311L
 {
  // A program is about to be started: the rest of the payload is its path or name.
  LOGTAP_NOTE_EXEC = 1,
  // The same, and its environment does not preload the library.
  LOGTAP_NOTE_EXEC_WITHOUT_PRELOAD = 2,
};
#if __STDC_VERSION__ >= 202311L
typedef enum logtap_note logtap_note;
#else
typedef uint8_t logtap_note;
#endif // __STDC_VERSION__ >= 202311L

// Lanes and their size.
struct logtap_geometry;

// The ticket counter, on a cache line of its own.
struct LOGTAP_ALIGNED(128) logtap_ticket {
  // Taken with `fetch_add(1)` when the application's own call has returned.
  LOGTAP_AtomicU64 next;
};

// Totals kept by the writers.
struct LOGTAP_ALIGNED(128) logtap_totals {
  // Bytes that ring files take now. A maker adds, the collector subtracts when it removes a file.
  LOGTAP_AtomicU64 ring_bytes;
  // Records lost by writers that have no ring.
  LOGTAP_AtomicU64 lost_records;
  // Bytes lost by writers that have no ring.
  LOGTAP_AtomicU64 lost_bytes;
  // The [`Collector::made_room`] during which writes have waited for room and found none. As long as that has not
  // moved, nobody waits again.
  LOGTAP_AtomicU64 waited_in_vain;
};

// Words kept by the collector.
struct LOGTAP_ALIGNED(128) logtap_collector {
  // Moves about ten times a second while a collector runs: writers look their classes up again.
  LOGTAP_AtomicU32 epoch;
  uint32_t reserved;
  // `CLOCK_MONOTONIC` nanoseconds of the collector's last sign of life.
  LOGTAP_AtomicU64 lease;
  // `CLOCK_MONOTONIC` nanoseconds at which the collector last let go of something that was read, so that there is
  // room. 0 by a collector that does not say.
  LOGTAP_AtomicU64 made_room;
};

// The layout of the page.
struct LOGTAP_ALIGNED(128) logtap_control_page {
  // [`CONTROL_MAGIC`].
  uint64_t magic;
  // [`crate::VERSION`].
  uint32_t version;
  // File mode that writers give to their rings: 0600, 0660 or 0666.
  uint32_t ring_mode;
  // Bytes that all rings of the directory may take together.
  uint64_t ring_cap;
  // When the directory was made, nanoseconds since 1970.
  uint64_t created;
  uint8_t reserved[96];
  // The next ticket. Orders records across threads, processes and rings.
  struct logtap_ticket ticket;
  // What rings take and what was lost without one.
  struct logtap_totals totals;
  // What the collector says of itself.
  struct logtap_collector collector;
};

// The header of a record.
struct logtap_record_header {
  // Bytes of payload.
  uint32_t length;
  // Slot of the stream in the ring's stream table.
  uint8_t slot;
  // `FLAG_*`.
  uint8_t flags;
  // Number of this fragment of the call, from 0.
  uint16_t fragment;
  // Order of the call among all calls of the tap directory. Fragments of a call share it.
  uint64_t ticket;
  // `CLOCK_REALTIME` nanoseconds (coarse unless asked otherwise); 0 where no clock could be read.
  uint64_t time;
  // The writer, in its own pid namespace.
  uint32_t pid;
  // Records that the stream had lost in this ring before, modulo 2^32.
  uint32_t lost_records;
  // Bytes that the stream had lost in this ring before.
  uint64_t lost_bytes;
};

// The first page of a ring. All but the atomics is written before the file has its name.
struct logtap_ring_header {
  // [`RING_MAGIC`].
  uint64_t magic;
  // [`crate::VERSION`].
  uint32_t version;
  // [`DATA_OFFSET`].
  uint32_t data_offset;
  // Number of lanes, 1 to [`MAX_LANES`].
  uint32_t lanes;
  // Bytes of a lane, a power of two.
  uint32_t lane_size;
  // The process that made the ring, in its own pid namespace.
  uint32_t pid;
  // Its effective user.
  uint32_t user;
  // Inode of its pid namespace, 0 where it could not be read.
  uint64_t pid_namespace;
  // When the ring was made, nanoseconds since 1970.
  uint64_t created;
  // Path of the executable, cut to this length, then zeros.
  uint8_t executable[256];
  uint8_t reserved[208];
  // `COVERAGE_*` and `SEEN_*`.
  LOGTAP_AtomicU32 coverage;
  // `STATE_*`.
  LOGTAP_AtomicU32 state;
  // Bytes of the path arena in use.
  LOGTAP_AtomicU32 arena_used;
  uint32_t reserved2;
  uint8_t reserved3[112];
  // `CLOCK_MONOTONIC` nanoseconds at which the collector last took care of this ring.
  LOGTAP_AtomicU64 lease;
};

// `head << 1 | locked`.
typedef LOGTAP_AtomicU64 logtap_word;

// A lane's tail, on a cache line of its own.
struct LOGTAP_ALIGNED(128) logtap_tail {
  // A position.
  LOGTAP_AtomicU64 position;
};

// What writers and collector share of one lane.
struct LOGTAP_ALIGNED(128) logtap_lane {
  // `head << 1 | locked`.
  logtap_word word;
  // What the lane's owner is writing: the head's low 32 bits, the stream's slot (8), the length (24).
  LOGTAP_AtomicU64 pending;
  // Process that locked the lane last, in the pid namespace of the ring's maker; 0 where it is in another, or where its
  // end is not proved by its number alone. Its holder's only once `pending` says so.
  LOGTAP_AtomicU32 owner;
  uint8_t reserved[108];
  // Up to where the collector has taken the lane's bytes. Only the collector writes it.
  struct logtap_tail tail;
};

// One stream of a ring.
struct logtap_stream_slot {
  // [`StreamKind`] once the slot is in use, 0 before; [`SLOT_CLAIMED`] while it is filled in.
  LOGTAP_AtomicU32 kind;
  // Offset (high 16 bits) and length (low 16 bits) of the path in the arena.
  LOGTAP_AtomicU32 path;
  // Records of this stream that found no room.
  LOGTAP_AtomicU64 lost_records;
  // Their bytes.
  LOGTAP_AtomicU64 lost_bytes;
  // Bytes written past the hooks in a way that cannot be copied (splice), also in `lost_bytes`.
  LOGTAP_AtomicU64 uncopied_bytes;
  // Records whose writer died while it wrote them, found by a sibling that took the lane back.
  LOGTAP_AtomicU64 torn_records;
  // Their bytes, as far as they were known.
  LOGTAP_AtomicU64 torn_bytes;
};



#endif  /* LOGTAP_WIRE_H */
