/* A 32-bit program that needs nothing but its dynamic loader: it writes a line to each stream. */
static long call3(long number, long first, long second, long third) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory");
    return result;
}

void _start(void) {
    static const char out[] = "narrow out\n", err[] = "narrow err\n";
    call3(4, 1, (long)out, sizeof out - 1);
    call3(4, 2, (long)err, sizeof err - 1);
    call3(1, 5, 0, 0);
    __builtin_unreachable();
}
