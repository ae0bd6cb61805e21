/* Leaves a child behind that writes when its parent's parent has gone, or after a while. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    pid_t above = getppid();

    puts("parent");
    fflush(stdout);
    if (fork() == 0) {
        /* Whoever ran us adopts us, and is gone when our parent changes for the second time. */
        for (int turn = 0; turn < 500 && (getppid() == above || turn < 10); turn++)
            usleep(10000);
        puts("child");
        fflush(stdout);
    }
    return 0;
}
