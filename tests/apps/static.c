/* For a static program, which no library can be loaded into. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    FILE *log = fopen("static.log", "w");
    for (int line = 0; line < 100; line++) {
        printf("static stdout %d\n", line);
        fprintf(stderr, "static stderr %d\n", line);
        if (log != NULL) fprintf(log, "static log %d\n", line);
    }
    if (log != NULL) fclose(log);
#ifdef STAY
    fflush(stdout);
    sleep(1);
#endif
    return 4;
}
