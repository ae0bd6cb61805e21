/* Processes that forbid themselves system calls, or only ask whether they could. */
#include "situation.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void strict(void) {
    say("before\n");
    need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0) == 0);
    for (int line = 0; line < 20; line++) say("in the sandbox\n");
    syscall(SYS_exit, 0);
}

/* Only write, exit and what stdio needs; anything else ends the process. */
static struct sock_filter allowed[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 5, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_writev, 4, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static struct sock_fprog filter = {sizeof allowed / sizeof *allowed, allowed};

static void much(void) {
    for (int line = 0; line < 1500; line++) printf("line %d in the sandbox\n", line);
    for (int line = 0; line < 50; line++) fprintf(stderr, "error %d in the sandbox\n", line);
    fflush(stdout);
}

static void allow_list_by_prctl(void) {
    printf("before\n");
    fflush(stdout);
    fprintf(stderr, "before\n");
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0);
    much();
}

static void allow_list_by_system_call(void) {
    int log = log_file("app.log");
    put(log, "before\n");
    printf("before\n");
    fflush(stdout);
    fprintf(stderr, "before\n");
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    need(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0);
    for (int line = 0; line < 100; line++) put(log, "in the sandbox\n");
    much();
}

/* A whole second in the sandbox, so that what is known of the descriptors has grown old. */
static void long_time_in_a_sandbox(void) {
    printf("before\n");
    fflush(stdout);
    struct sock_filter no_looking[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_statx, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpid, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof no_looking / sizeof *no_looking, no_looking};
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
    for (int line = 0; line < 20; line++) {
        say("in the sandbox\n");
        usleep(50000);
    }
}

/* As libseccomp, OpenSSH and others do to find out what the kernel has: nothing is forbidden afterwards. */
static void only_asks_for_sandboxes(void) {
    need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) == -1 && errno == EFAULT);
    need(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL) == -1 && errno == EINVAL);
    need(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) == -1 && errno == EFAULT);
    unsigned action = SECCOMP_RET_KILL_PROCESS;
    need(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0);
    need(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0);
    int log = log_file("app.log");
    put(log, "a log that is opened afterwards\n");
    int copy = dup(1);
    put(copy, "a copy that is made afterwards\n");
    for (int line = 0; line < 4000; line++) printf("line %d needs a larger ring\n", line);
}

static void memory_deny_write_execute(void) {
    /* PR_SET_MDWE; older kernels do not know it, which both runs see alike. */
    prctl(65, 1, 0, 0, 0);
    execl("/bin/sh", "sh", "-c", "echo without new code; /bin/echo in a child", (char *)NULL);
}

static void no_time_stamp_counter(void) {
    say("before\n");
#ifdef PR_SET_TSC
    need(prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) == 0);
#endif
    for (int line = 0; line < 100; line++) say("without the counter\n");
}

static void no_new_privileges(void) {
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    execl("/bin/sh", "sh", "-c", "echo without new privileges; /bin/echo in a child", (char *)NULL);
}

SITUATIONS(A(strict), A(allow_list_by_prctl), A(allow_list_by_system_call), A(long_time_in_a_sandbox),
    A(only_asks_for_sandboxes), A(memory_deny_write_execute), A(no_time_stamp_counter), A(no_new_privileges))
