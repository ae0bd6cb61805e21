/* What happens to a process and its ring without anybody telling the library. Where it says "pause" the test does something
   and lets it go on. */
#include "situation.h"

#include <signal.h>
#include <sys/syscall.h>

/* A system call that no library sees. */
static long past_libc(long number, long a, long b, long c, long d) {
#if defined __x86_64__
    register long fourth __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
#elif defined __aarch64__
    register long call __asm__("x8") = number;
    register long first __asm__("x0") = a;
    register long second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    __asm__ volatile("svc 0"
                     : "+r"(first)
                     : "r"(call), "r"(second), "r"(third), "r"(fourth)
                     : "memory");
    return first;
#else
#error "no system call known here"
#endif
}

static void pause_for_the_test(void) {
    char go;
    need(write(2, "p", 1) == 1);
    need(read(0, &go, 1) == 1);
}

/* Lines of one length, numbered from one call to the next. */
static void write_lines(int count) {
    static int line;
    char text[80];
    memset(text, '.', sizeof text);
    text[sizeof text - 1] = '\n';
    for (int last = line + count; line < last; line++) {
        text[sprintf(text, "line %d", line)] = ' ';
        need(write(1, text, sizeof text) == sizeof text);
    }
}

/* Each line is its writer's number. More of them than the library asks in doubt who it is. */
static void say_number(void) {
    char text[32];
    sprintf(text, "%ld\n", past_libc(SYS_getpid, 0, 0, 0, 0));
    for (int count = 0; count < 20; count++) say(text);
}

static void end_well(pid_t child) { need(status_of(child) == 0); }

static void forked_children(void) {
    say_number();
    pid_t child = fork();
    need(child >= 0);
    if (child == 0) {
        say_number();
        pid_t grandchild = fork();
        need(grandchild >= 0);
        if (grandchild == 0) {
            say_number();
            _exit(0);
        }
        end_well(grandchild);
        say_number();
        _exit(0);
    }
    end_well(child);
    child = (pid_t)past_libc(SYS_clone, SIGCHLD, 0, 0, 0);
    need(child >= 0);
    if (child == 0) {
        say_number();
        _exit(0);
    }
    end_well(child);
    say_number();
}

/* Descriptor 1 is a private file, without a call of libc's. */
static void take_descriptor_one(int by_duplication) {
    if (by_duplication) {
        int file = private_file();
        need(past_libc(SYS_dup3, file, 1, 0, 0) == 1);
        need(close(file) == 0);
    } else {
        need(past_libc(SYS_close, 1, 0, 0, 0) == 0);
        const char *path = "private.key";
        need(past_libc(SYS_openat, AT_FDCWD, (long)path, O_CREAT | O_WRONLY | O_TRUNC, 0600) == 1);
    }
}

static void changed(int by_duplication, int lines) {
    say("shown\n");
    take_descriptor_one(by_duplication);
    pause_for_the_test();
    for (int line = 0; line < lines; line++) say("SECRET\n");
}

enum { MANY = 5000, FEW = 100 };

static void many_after_duplication(void) { changed(1, MANY); }
static void many_after_opening(void) { changed(0, MANY); }
static void few_after_duplication(void) { changed(1, FEW); }
static void few_after_opening(void) { changed(0, FEW); }

/* Enough for a full ring, and then more than that one holds. */
static void ring_is_given_up(void) {
    write_lines(300);
    pause_for_the_test();
    write_lines(600);
}

static volatile long steps, last_step;
static void ends(int number) {
    (void)number;
    if (++steps == last_step) kill(getpid(), SIGKILL);
}

/* Children of one write each, killed after ever more of its instructions; then as many lines as fill the ring twice. */
static void killed_writers(void) {
    char text[80];
    memset(text, 'x', sizeof text);
    memcpy(text, "victim ", 7);
    text[sizeof text - 1] = '\n';
    write_lines(300);
    for (last_step = 1; last_step < 1200; last_step += 37) {
        pid_t child = fork();
        need(child >= 0);
        if (child == 0) {
            struct sigaction action = {.sa_handler = ends};
            sigaction(SIGTRAP, &action, NULL);
            __asm__ volatile(STEP_ON ::: "memory", "cc");
            ssize_t written = write(1, text, sizeof text);
            __asm__ volatile(STEP_OFF ::: "memory", "cc");
            need(written == sizeof text);
            /* The write took fewer instructions. */
            kill(getpid(), SIGKILL);
        }
        need(WTERMSIG(status_of(child)) == SIGKILL);
    }
    pause_for_the_test();
    write_lines(1200);
}

SITUATIONS(A(forked_children), A(many_after_duplication), A(many_after_opening), A(few_after_duplication),
           A(few_after_opening), A(ring_is_given_up), A(killed_writers))
