/* The load: one member writes as fast as the server takes it, and many get what he writes.

   This is a program of its own, and in C, so that it takes less time than any server that is
   measured with it. It knows no protocol: the connections are handed to it, by the numbers of
   their file descriptors, as members of whatever is measured. It counts a byte that stands once in
   each message and nowhere else, the MARKER, so it is all the same to it how a server frames them.

     load MARKER BURSTS MESSAGES EXPECTED PAUSE WRITER [RECEIVER]... <REQUEST

   In each of BURSTS it writes REQUEST, MESSAGES times, and waits until every RECEIVER has EXPECTED
   more markers; then it pauses for PAUSE microseconds. What comes to WRITER is read and ignored,
   unless there is no RECEIVER: then it is he.

   It prints numbers, a line each: for every burst, in nanoseconds, how long it took from before
   its first byte was written until after its last one was read; then the nanoseconds of CPU time
   that the load itself has used, and the bytes that it has read. */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES (256 * 1024)
#define WRITE_BYTES (64 * 1024) /* the request is repeated until it fills so many */
#define REQUEST_BYTES 4096
#define SILENCE_MILLISECONDS 20000 /* after which it gives up */
#define EVENTS 256

static char arriving[READ_BYTES];
static char leaving[WRITE_BYTES + REQUEST_BYTES];
static char marker;
static int64_t bytes_read;

static void fail(const char *what)
{
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static int64_t nanoseconds(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Read what has come by a connection, and return how many messages end in it. */
static int64_t take(int connection)
{
    int64_t markers = 0;
    ssize_t count = recv(connection, arriving, sizeof arriving, MSG_DONTWAIT);
    if (count == 0) {
        errno = 0;
        fail("the server has closed a connection");
    }
    if (count < 0 && errno != EAGAIN && errno != EINTR)
        fail("cannot read");
    for (ssize_t i = 0; i < count; i++)
        markers += arriving[i] == marker;
    bytes_read += count > 0 ? count : 0;
    return markers;
}

static void watch(int epoll, int operation, int connection, uint32_t events, uint32_t index)
{
    struct epoll_event event = {.events = events, .data.u32 = index};
    if (epoll_ctl(epoll, operation, connection, &event) < 0)
        fail("cannot watch a connection");
}

int main(int argc, char **argv)
{
    if (argc < 7)
        fail("wrong usage");
    marker = argv[1][0];
    const int bursts = atoi(argv[2]);
    const int64_t messages = atoll(argv[3]), expected = atoll(argv[4]);
    const useconds_t pause = (useconds_t)atoi(argv[5]);
    const int members = argc - 6, first = members > 1 ? 1 : 0; /* member 0 is the writer */
    int *connections = calloc((size_t)members, sizeof *connections);
    int64_t *missing = calloc((size_t)members, sizeof *missing);

    const ssize_t length = read(STDIN_FILENO, leaving, REQUEST_BYTES);
    if (!connections || !missing || length <= 0)
        fail("no memory, or no request");
    size_t filled = (size_t)length; /* whole requests */
    while (filled < WRITE_BYTES && filled < (size_t)(length * messages)) {
        memcpy(leaving + filled, leaving, (size_t)length);
        filled += (size_t)length;
    }

    const int epoll = epoll_create1(0);
    for (int i = 0; i < members; i++) {
        connections[i] = atoi(argv[6 + i]);
        watch(epoll, EPOLL_CTL_ADD, connections[i], EPOLLIN, (uint32_t)i);
    }
    for (int burst = 0; burst < bursts; burst++) {
        int64_t left = length * messages; /* bytes to write */
        size_t offset = 0;                /* of the next one, in leaving */
        int waiting = 0;                  /* how many receivers have not got all */
        for (int i = first; i < members; i++) {
            missing[i] += expected;
            waiting += missing[i] > 0;
        }
        const int64_t start = nanoseconds(CLOCK_MONOTONIC);
        watch(epoll, EPOLL_CTL_MOD, connections[0], EPOLLIN | EPOLLOUT, 0);
        while (waiting || left) {
            struct epoll_event ready[EVENTS];
            const int count = epoll_wait(epoll, ready, EVENTS, SILENCE_MILLISECONDS);
            if (count == 0) {
                errno = 0;
                fail("the server sends nothing more, and something is missing");
            }
            for (int event = 0; event < count; event++) {
                const int i = (int)ready[event].data.u32;
                if (ready[event].events & ~(uint32_t)EPOLLOUT) {
                    const int64_t before = missing[i];
                    missing[i] -= take(connections[i]);
                    waiting -= i >= first && before > 0 && missing[i] <= 0;
                    if (i >= first && missing[i] < 0) {
                        errno = 0;
                        fail("more has come than was written");
                    }
                }
                if (left && ready[event].events & EPOLLOUT) {
                    size_t size = filled - offset;
                    if ((int64_t)size > left)
                        size = (size_t)left;
                    const ssize_t sent =
                        send(connections[0], leaving + offset, size, MSG_DONTWAIT | MSG_NOSIGNAL);
                    if (sent < 0 && errno != EAGAIN && errno != EINTR)
                        fail("cannot write");
                    if (sent > 0) {
                        left -= sent;
                        offset = (offset + (size_t)sent) % filled;
                    }
                    if (!left)
                        watch(epoll, EPOLL_CTL_MOD, connections[0], EPOLLIN, 0);
                }
            }
        }
        printf("%lld\n", (long long)(nanoseconds(CLOCK_MONOTONIC) - start));
        if (pause && burst < bursts - 1)
            usleep(pause);
    }
    printf("%lld\n%lld\n", (long long)nanoseconds(CLOCK_PROCESS_CPUTIME_ID),
           (long long)bytes_read);
    return 0;
}
