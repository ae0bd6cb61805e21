/* Log files that move, grow, shrink and are written in unusual ways. */
#include "situation.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

static void rotated_by_rename(void) {
    int log = log_file("app.log");
    for (int line = 0; line < 100; line++) put(log, "before\n");
    need(rename("app.log", "app.log.2") == 0);
    /* Long enough for what is known of the descriptor to grow old. */
    usleep(300000);
    for (int line = 0; line < 100; line++) put(log, "after the rename, same descriptor\n");
    close(log);
    log = log_file("app.log");
    put(log, "in the new file\n");
    need(rename("app.log", "app.log.1") == 0);
    close(log);
    FILE *stream = fopen("app.log", "a");
    for (int line = 0; line < 100; line++) fprintf(stream, "by stdio %d\n", line);
    fclose(stream);
}

static void rotated_by_another_process(void) {
    FILE *stream = fopen("app.log", "a");
    for (int round = 0; round < 5; round++) {
        fprintf(stream, "round %d\n", round);
        fflush(stream);
        if (round == 2) {
            need(system("mv app.log app.log.1") == 0);
            fprintf(stream, "late for round %d\n", round);
            stream = freopen("app.log", "a", stream);
            need(stream != NULL);
        }
    }
    fclose(stream);
}

/* What was cut away is in the captures, though not in the file: so the file is kept aside as well. */
static void copied_and_truncated(void) {
    FILE *stream = fopen("app.log", "a");
    fprintf(stream, "before the copy\n");
    fflush(stream);
    need(system("cp app.log app.log.1 && : >app.log") == 0);
    fprintf(stream, "after the cut\n");
    fclose(stream);
}

static void several_files(void) {
    for (int round = 0; round < 3; round++) {
        for (int number = 0; number < 40; number++) {
            char name[32];
            snprintf(name, sizeof name, "app%d.log", number);
            int log = log_file(name);
            dprintf(log, "round %d of file %d\n", round, number);
            close(log);
            snprintf(name, sizeof name, "secret%d.key", number);
            log = log_file(name);
            dprintf(log, "PRIVATE\n");
            close(log);
        }
    }
}

static void hundreds_of_files(void) {
    for (int number = 0; number < 300; number++) {
        char name[32];
        snprintf(name, sizeof name, "hour%d.log", number);
        int log = log_file(name);
        dprintf(log, "of hour %d\n", number);
        close(log);
    }
}

static void relative_and_other_paths(void) {
    need(mkdir("sub", 0755) == 0 && mkdir("sub/deeper", 0755) == 0);
    int log = log_file("sub/../app.log");
    put(log, "through a detour\n");
    close(log);
    need(chdir("sub/deeper") == 0);
    log = log_file("../../app.log");
    put(log, "from below\n");
    close(log);
    int directory = open("../..", O_RDONLY | O_DIRECTORY);
    log = openat(directory, "app.log", O_WRONLY | O_APPEND);
    put(log, "from a directory's descriptor\n");
    close(log);
    need(symlink("../../app.log", "another.name") == 0);
    log = open("another.name", O_WRONLY | O_APPEND);
    put(log, "through a symbolic link\n");
    close(log);
    need(link("../../app.log", "../../second.name") == 0);
    log = open("../../second.name", O_WRONLY | O_APPEND);
    put(log, "through a second name\n");
    close(log);
    need(fchdir(directory) == 0);
    log = openat(AT_FDCWD, "app.log", O_WRONLY | O_APPEND);
    put(log, "and plainly\n");
}

static void deleted_while_open(void) {
    int log = log_file("app.log");
    put(log, "one\n");
    need(link("app.log", "app.log.1") == 0 && unlink("app.log") == 0);
    put(log, "two, without a name\n");
    close(log);
    /* The inode number may come back for something else. */
    for (int round = 0; round < 20; round++) {
        int secret = private_file();
        put(secret, "PRIVATE\n");
        close(secret);
        unlink("private.key");
    }
}

static void recycled_inodes(void) {
    for (int round = 0; round < 50; round++) {
        int log = open("passing.log", O_CREAT | O_WRONLY | O_TRUNC, 0644);
        close(log);
        unlink("passing.log");
        int secret = private_file();
        put(secret, "PRIVATE\n");
        close(secret);
        unlink("private.key");
    }
    int log = log_file("app.log");
    put(log, "written once\n");
    close(log);
    need(rename("app.log", "app.log.1") == 0);
}

static void fopen_in_all_modes(void) {
    const char *modes[] = {"w", "a", "r+", "w+", "a+", "we", "ax"};
    for (int mode = 0; mode < 6; mode++) {
        FILE *stream = fopen("app.log", modes[mode]);
        need(stream != NULL);
        if (mode == 2) fseek(stream, 0, SEEK_END);
        fclose(stream);
    }
    need(fopen("app.log", "ax") == NULL && errno == EEXIST);
    FILE *stream = fopen("app.log", "a+");
    setvbuf(stream, NULL, _IONBF, 0);
    fputs("unbuffered\n", stream);
    fclose(stream);
    stream = fopen("app.log", "a");
    setvbuf(stream, NULL, _IOLBF, 4096);
    fputs("line ", stream);
    fputs("buffered\n", stream);
    fclose(stream);
    stream = fdopen(log_file("app.log"), "a");
    fputs("by fdopen\n", stream);
    stream = freopen("private.key", "w", stream);
    fputs("PRIVATE\n", stream);
    stream = freopen("app.log", "a", stream);
    fputs("and back by freopen\n", stream);
    fclose(stream);
}

static void direct_and_synchronous(void) {
    int log = open("app.log", O_CREAT | O_WRONLY | O_DIRECT, 0644);
    if (log < 0) log = open("app.log", O_CREAT | O_WRONLY, 0644);
    char *block = NULL;
    need(posix_memalign((void **)&block, 4096, 8192) == 0);
    memset(block, 'd', 8192);
    for (int at = 99; at < 8192; at += 100) block[at] = '\n';
    block[8191] = '\n';
    need(write(log, block, 8192) == 8192);
    close(log);
    log = open("app.log", O_WRONLY | O_APPEND | O_DSYNC);
    put(log, "synchronous\n");
}

static void written_at_offsets(void) {
    int log = open("app.log", O_CREAT | O_RDWR | O_TRUNC, 0644);
    need(pwrite(log, "first\n", 6, 0) == 6);
    struct iovec parts[2] = {{"second ", 7}, {"part\n", 5}};
    need(pwritev(log, parts, 2, 6) == 12);
#ifdef __GLIBC__
    need(pwritev2(log, parts, 2, 18, RWF_HIPRI) == 12 || errno == EOPNOTSUPP);
    if (lseek(log, 0, SEEK_END) == 18) need(pwritev2(log, parts, 2, -1, 0) == 12);
#endif
    errno = 0;
    need(pwrite(1, "x", 1, 5) == -1 && errno == ESPIPE);
}

static void opened_for_reading_only(void) {
    int log = log_file("app.log");
    put(log, "a line\n");
    int reader = open("app.log", O_RDONLY);
    char text[16];
    need(read(reader, text, sizeof text) == 7);
    need(write(reader, "x", 1) == -1 && errno == EBADF);
    need(ftruncate(log, 7) == 0);
}

static void written_through_a_map(void) {
    int log = open("app.log", O_CREAT | O_RDWR | O_TRUNC, 0644);
    put(log, "by write\n");
    need(ftruncate(log, 4096) == 0);
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, log, 0);
    need(map != MAP_FAILED);
    memcpy(map + 9, "by map\n", 7);
    need(munmap(map, 4096) == 0 && ftruncate(log, 16) == 0);
    say("mapped\n");
}

static void mapped_without_being_a_log(void) {
    int file = open("data.bin", O_CREAT | O_RDWR | O_TRUNC, 0644);
    need(ftruncate(file, 4096) == 0);
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    need(map != MAP_FAILED);
    memcpy(map, "PRIVATE\n", 8);
    int log = log_file("app.log");
    put(log, "by write\n");
    need(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, open("app.log", O_RDONLY), 0) != MAP_FAILED);
}

SITUATIONS(A(rotated_by_rename), A(rotated_by_another_process), A(copied_and_truncated), A(several_files),
    A(hundreds_of_files), A(relative_and_other_paths), A(deleted_while_open), A(recycled_inodes),
    A(fopen_in_all_modes), A(direct_and_synchronous), A(written_at_offsets), A(opened_for_reading_only),
    A(written_through_a_map), A(mapped_without_being_a_log))
