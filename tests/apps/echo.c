/* Says again each line that it is told. */
#include <stdio.h>

int main(void)
{
    char line[256];

    puts("listening");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        fputs(line, stdout);
        fflush(stdout);
    }
    return 0;
}
