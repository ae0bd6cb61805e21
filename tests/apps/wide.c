/* Wide characters on both streams. */
#include <locale.h>
#include <stdio.h>
#include <wchar.h>

int main(void) {
    setlocale(LC_ALL, "C.UTF-8");
    for (int round = 0; round < 20; round++) {
        wprintf(L"wprintf %d \u00e4\u00f6\u00fc \u65e5\u672c\n", round);
        fputws(L"fputws \u2014 dash\n", stdout);
        putwchar(L'\u03c0');
        putwchar(L'\n');
        fwprintf(stderr, L"fwprintf to stderr %d \u00df\n", round);
    }
    fflush(stdout);
    return 0;
}
