/* flood KIND PORT SECONDS: ask 127.0.0.1:PORT for as much as possible.
 *
 * By datagrams, KIND is "one", from one socket; "spoof", each with a made up source address and port
 * (a raw socket, for which one has to be root); or "member", from one socket that has joined. On
 * connections, KIND is "stream", one that has joined and reads its replies; or "reset", one after
 * another, each reset when it has sent what it can. Prints how many datagrams were sent, requests
 * answered or connections made.
 *
 * Those with connections have addresses of their own, for connections are counted by address. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define TEXT "2 flood"
#define LINES 135000

static uint64_t state = 88172645463325252ULL;

static uint64_t any(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int connected(const struct sockaddr_in *to, const char *from)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(from)};
    int sock = socket(AF_INET, SOCK_STREAM, 0);
    bind(sock, (void *)&own, sizeof own);
    if (connect(sock, (const void *)to, sizeof *to)) {
        close(sock);
        return -1;
    }
    fcntl(sock, F_SETFL, O_NONBLOCK);
    return sock;
}

static long stream(const struct sockaddr_in *to, time_t end, const char *lines)
{
    static char replies[65536];
    char last = '\n';
    long answered = 0;
    int sock = connected(to, "127.0.0.2");
    send(sock, "1 stream\n", 9, 0);
    while (time(NULL) < end) {
        struct pollfd wait = {.fd = sock, .events = POLLIN | POLLOUT};
        poll(&wait, 1, 1000);
        send(sock, lines, 2 * LINES, MSG_NOSIGNAL); /* one that is cut in two is refused */
        ssize_t now = recv(sock, replies, sizeof replies, 0);
        if (now == 0) break;
        for (ssize_t i = 0; i < now; last = replies[i++])
            answered += replies[i] == '\n' && last == '\n'; /* the end of a reply */
    }
    return answered;
}

static long resets(const struct sockaddr_in *to, time_t end, const char *lines)
{
    struct linger at_once = {.l_onoff = 1};
    long count = 0;
    while (time(NULL) < end) {
        int sock = connected(to, "127.0.0.3");
        if (sock < 0) continue;
        send(sock, lines, 2 * LINES, MSG_NOSIGNAL);
        usleep(1000); /* so that some of it is read */
        setsockopt(sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(sock);
        count++;
    }
    return count;
}

int main(int count, char **arguments)
{
    if (count < 4) return 2;
    int spoof = !strcmp(arguments[1], "spoof");
    int member = !strcmp(arguments[1], "member");
    const char *text = member ? "5" : TEXT;
    size_t length = strlen(text);
    time_t end = time(NULL) + atoi(arguments[3]);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(atoi(arguments[2])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static char lines[2 * LINES];
    for (int i = 0; i < 2 * LINES; i += 2) memcpy(lines + i, "5\n", 2);
    if (!strcmp(arguments[1], "stream")) return printf("%ld\n", stream(&to, end, lines)) < 0;
    if (!strcmp(arguments[1], "reset")) return printf("%ld\n", resets(&to, end, lines)) < 0;
    int sock = spoof ? socket(AF_INET, SOCK_RAW, IPPROTO_RAW) : socket(AF_INET, SOCK_DGRAM, 0);
    if (sock < 0) {
        perror("socket");
        return 1;
    }
    if (member) sendto(sock, "1 member", 8, 0, (void *)&to, sizeof to);
    static unsigned char packets[BATCH][28 + sizeof TEXT - 1];
    static struct iovec pieces[BATCH];
    static struct mmsghdr messages[BATCH];
    for (int i = 0; i < BATCH; i++) {
        struct iphdr *ip = (void *)packets[i];
        struct udphdr *udp = (void *)(packets[i] + 20);
        ip->version = 4;
        ip->ihl = 5;
        ip->ttl = 64;
        ip->protocol = IPPROTO_UDP;
        ip->daddr = to.sin_addr.s_addr;
        udp->dest = to.sin_port;
        udp->len = htons(8 + length);
        memcpy(packets[i] + 28, text, length);
        pieces[i].iov_base = spoof ? packets[i] : packets[i] + 28;
        pieces[i].iov_len = spoof ? 28 + length : length;
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &to;
        messages[i].msg_hdr.msg_namelen = sizeof to;
    }
    long sent = 0;
    while (time(NULL) < end) {
        for (int i = 0; spoof && i < BATCH; i++) {
            uint64_t r = any();
            ((struct iphdr *)packets[i])->saddr = htonl((1 + (r >> 24) % 222) << 24 | (r & 0xffffff));
            ((struct udphdr *)(packets[i] + 20))->source = (uint16_t)(r >> 32) | 1;
        }
        int now = sendmmsg(sock, messages, BATCH, 0);
        sent += now > 0 ? now : 0;
    }
    printf("%ld\n", sent);
    return 0;
}
