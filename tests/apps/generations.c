/* A program that forks children, and then becomes itself again by each of execl, execlp and execle, with more
   arguments than there are registers for. Arguments: how often it still becomes itself, the command that starts it
   again, and what it was told. Takes the preload out of the environment: the command puts it back. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void children(int generation) {
    for (int number = 0; number < 20; number++) {
        pid_t child = fork();
        if (child == 0) {
            char text[100];
            int length = snprintf(text, sizeof text, "generation %d, child %d, by write\n", generation, number);
            if (write(STDOUT_FILENO, text, (size_t)length) != length) abort();
            fprintf(stderr, "generation %d, child %d, by stdio\n", generation, number);
            pid_t grandchild = number % 5 == 0 ? fork() : -1;
            if (grandchild == 0) {
                printf("generation %d, grandchild %d\n", generation, number);
                fflush(stdout);
                _exit(0);
            }
            if (grandchild > 0) waitpid(grandchild, NULL, 0);
            _exit(number);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child || WEXITSTATUS(status) != number) abort();
    }
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    int left = atoi(arguments[1]);
    char *again = arguments[2];
    printf("generation %d was told:", left);
    for (int index = 3; index < count; index++) printf(" %s", arguments[index]);
    printf(", mark %s\n", getenv("MARK") ? getenv("MARK") : "none");
    fflush(stdout);
    children(left);
    unsetenv("LD_PRELOAD");
    switch (left) {
    case 3:
        execl(again, again, "2", again, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", (char *)NULL);
        break;
    case 2:
        execlp(again, again, "1", again, "one", "two", "three", "four", "five", "six", "seven", "eight", (char *)NULL);
        break;
    case 1: {
        int variables = 0;
        while (environ[variables]) variables++;
        char **environment = calloc((size_t)variables + 2, sizeof *environment);
        memcpy(environment, environ, (size_t)variables * sizeof *environment);
        environment[variables] = "MARK=set";
        execle(again, again, "0", again, "1", "2", "3", "4", "5", "6", "7", "8", "9", (char *)NULL, environment);
        break;
    }
    default:
        printf("the last generation\n");
        return 5;
    }
    perror(again);
    return 127;
}
