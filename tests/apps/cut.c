/* For a static program: a log that is cut while its writer goes on where it was. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    FILE *log = fopen("cut.log", "w");
    if (log == NULL) return 1;
    for (int line = 0; line < 200; line++) {
        if (line == 100) {
            usleep(300000);
            if (truncate("cut.log", 0) != 0) return 2;
            fseek(log, 3 << 20, SEEK_SET);
        }
        fprintf(log, "line %d\n", line);
        fflush(log);
    }
    fclose(log);
    return 0;
}
