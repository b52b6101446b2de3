/* Shifts the time of day that a preloaded redis-server sees.
 *
 * WINDLASS_CLOCK names a file of eight bytes: the shift in microseconds, a signed integer of the machine's byte order.
 * The file is mapped, so a test moves the server's clock by writing to it. Only gettimeofday is shifted: that is where
 * redis-server takes its time from. Monotonic clocks stay as they are, so that its timers go on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

static volatile int64_t *shift;
static int (*real_gettimeofday)(struct timeval *, void *);

__attribute__((constructor)) static void map_shift(void) {
    real_gettimeofday = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
    const char *path = getenv("WINDLASS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) shift = mapped;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    int result = real_gettimeofday(time, zone);
    if (result == 0 && shift) {
        int64_t micros = (int64_t)time->tv_sec * 1000000 + time->tv_usec + *shift;
        time->tv_sec = micros / 1000000;
        time->tv_usec = micros % 1000000;
    }
    return result;
}
