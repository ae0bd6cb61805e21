/* Preloaded: a clock that fails once in the first thread of a program, as soon as the file that CLOCK_FAILS names is
 * there. What cannot happen, and where a program written in Rust panics. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int before = errno;

	if (clock == CLOCK_MONOTONIC && syscall(SYS_gettid) == getpid()) {
		const char *file = getenv("CLOCK_FAILS");
		if (file && unlink(file) == 0) {
			errno = EINVAL;
			return -1;
		}
	}
	errno = before;
	return (int)syscall(SYS_clock_gettime, clock, now);
}
