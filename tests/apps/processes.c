/* Children in every way: fork, vfork with exec, posix_spawn, system, popen, and very many.
   The parent waits for each, so the order of all lines is fixed. The argument is the number of
   forked children. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void wait_for(pid_t child) {
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
}

int main(int count, char **arguments) {
    int children = count > 1 ? atoi(arguments[1]) : 10;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("the parent starts\n");
    for (int number = 0; number < children; number++) {
        pid_t child = fork();
        if (child == 0) {
            printf("child %d on stdout\n", number);
            fprintf(stderr, "child %d on stderr\n", number);
            _exit(0);
        }
        wait_for(child);
    }
    char *echo[] = {"sh", "-c", "echo from a program that was executed", NULL};
    pid_t child = vfork();
    if (child == 0) {
        execv("/bin/sh", echo);
        _exit(127);
    }
    wait_for(child);
    printf("the parent after vfork\n");

    /* As Python's subprocess does: the child of vfork moves its own stdout, which is not the parent's. */
    int file = open("child.txt", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    child = vfork();
    if (child == 0) {
        dup2(file, STDOUT_FILENO);
        execv("/bin/sh", (char *[]){"sh", "-c", "echo into a file", NULL});
        _exit(127);
    }
    wait_for(child);
    close(file);
    printf("the parent's stdout stayed\n");

    if (posix_spawn(&child, "/bin/sh", NULL, NULL, echo, environ) != 0) abort();
    wait_for(child);
    if (system("echo through system; echo and stderr >&2") != 0) abort();
    FILE *pipe = popen("cat", "w");
    fprintf(pipe, "through a pipe to cat\n");
    pclose(pipe);
    pipe = popen("echo read back", "r");
    char line[100];
    if (fgets(line, sizeof line, pipe) == NULL) abort();
    pclose(pipe);
    printf("the parent read: %s", line);
    /* The end of the program: exec in place. */
    execl("/bin/sh", "sh", "-c", "echo the last program in place", (char *)NULL);
    return 127;
}
