/* Makes system calls of a preloaded process fail on the files below one folder.
 *
 * WINDLASS_FAULT is "OPERATION AFTER COUNT ANSWER": of the calls that are an OPERATION (open, write, sync, rename), COUNT
 * fail from number AFTER on, with the errno ANSWER, or with
 *   short  half of what was to be written is written,
 *   lie    nothing is done, and the call says that it succeeded,
 *   room   a write for which there is no room says that it succeeded.
 * WINDLASS_FAULT_DIR is the folder. To the file WINDLASS_FAULT_NOTES goes a line for each call that failed, and one for a
 * sync of a file whose sync had failed before.
 *
 * With the answer "slow" no call fails: every sync takes SLOW_US longer on either side, and the file WINDLASS_FAULT_NOTES
 * holds the number of those under way, four bytes in the machine's order. A process that is killed leaves it as it was.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SHORT = -1, LIE = -2, ROOM = -3, SLOW = -4 };
enum { SLOW_US = 2000 };

static char operation[16], answer_word[16];
static const char *folder, *notes;
static long after, count, calls;
static int answer;
static ino_t unsynced;
static int *under_way;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void count_syncs(void) {
    int none = 0, file = REAL(open)(notes, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || REAL(write)(file, &none, sizeof none) != sizeof none) abort();
    under_way = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (under_way == MAP_FAILED) abort();
    REAL(close)(file);
}

__attribute__((constructor)) static void read_settings(void) {
    const char *fault = getenv("WINDLASS_FAULT");
    folder = getenv("WINDLASS_FAULT_DIR");
    notes = getenv("WINDLASS_FAULT_NOTES");
    if (!fault || sscanf(fault, "%15s %ld %ld %15s", operation, &after, &count, answer_word) != 4) folder = NULL;
    answer = !strcmp(answer_word, "short")  ? SHORT
             : !strcmp(answer_word, "lie")  ? LIE
             : !strcmp(answer_word, "room") ? ROOM
             : !strcmp(answer_word, "slow") ? SLOW
                                            : atoi(answer_word);
    if (answer == SLOW) count_syncs();
}

static int is_below(const char *path) {
    return folder && path && !strncmp(path, folder, strlen(folder));
}

static int is_file_below(int file) {
    char link[64], path[4096];
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static void note(const char *what) {
    int file = notes ? REAL(open)(notes, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0) return;
    char line[64];
    int length = snprintf(line, sizeof line, "%s\n", what);
    if (REAL(write)(file, line, length) != length) abort();
    REAL(close)(file);
}

/* Whether this call is one that fails. */
static int strikes(const char *what) {
    if (strcmp(operation, what)) return 0;
    long number = __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    if (number < after || number - after >= count) return 0;
    if (answer != ROOM) note(what);
    return 1;
}

ssize_t write(int file, const void *bytes, size_t length) {
    if (!is_file_below(file) || !strikes("write")) return REAL(write)(file, bytes, length);
    if (answer == LIE) return length;
    if (answer == SHORT) return REAL(write)(file, bytes, length > 1 ? length / 2 : length);
    if (answer == ROOM) {
        ssize_t written = REAL(write)(file, bytes, length);
        return written < 0 && errno != ENOSPC ? written : (ssize_t)length;
    }
    errno = answer;
    return -1;
}

ssize_t writev(int file, const struct iovec *pieces, int number) {
    if (!is_file_below(file)) return REAL(writev)(file, pieces, number);
    for (int i = 0; i < number; i++) {
        if (pieces[i].iov_len) return write(file, pieces[i].iov_base, pieces[i].iov_len);
    }
    return 0;
}

static int synced_slowly(int file, int (*sync)(int)) {
    __atomic_fetch_add(under_way, 1, __ATOMIC_SEQ_CST);
    usleep(SLOW_US);
    int result = sync(file), error = errno;
    usleep(SLOW_US);
    __atomic_fetch_sub(under_way, 1, __ATOMIC_SEQ_CST);
    errno = error;
    return result;
}

static int synced(int file, int (*sync)(int)) {
    struct stat status;
    if (!is_file_below(file) || fstat(file, &status)) return sync(file);
    if (answer == SLOW) return synced_slowly(file, sync);
    if (unsynced && unsynced == status.st_ino) note("synced again");
    if (!strikes("sync")) return sync(file);
    if (answer == LIE) return 0;
    if (S_ISREG(status.st_mode)) unsynced = status.st_ino;
    errno = answer < 0 ? EIO : answer;
    return -1;
}

int fsync(int file) {
    return synced(file, REAL(fsync));
}

int fdatasync(int file) {
    return synced(file, REAL(fdatasync));
}

int rename(const char *from, const char *to) {
    if (!is_below(to) || !strikes("rename")) return REAL(rename)(from, to);
    errno = answer < 0 ? EIO : answer;
    return -1;
}

static int opened(const char *path, int flags, mode_t mode) {
    if (!is_below(path) || !(flags & (O_WRONLY | O_RDWR)) || !strikes("open")) return REAL(open)(path, flags, mode);
    errno = answer < 0 ? EIO : answer;
    return -1;
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return opened(path, flags, mode);
}
