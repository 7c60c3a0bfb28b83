/* flood KIND PORT SECONDS: send as many small datagrams as possible to 127.0.0.1:PORT.
 *
 * KIND is "one", from one socket, or "spoof", each with a made up source address and port (a raw
 * socket, for which one has to be root). Prints how many were sent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define TEXT "2 flood"

static uint64_t state = 88172645463325252ULL;

static uint64_t any(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

int main(int count, char **arguments)
{
    if (count < 4) return 2;
    int spoof = !strcmp(arguments[1], "spoof");
    time_t end = time(NULL) + atoi(arguments[3]);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(atoi(arguments[2])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int sock = spoof ? socket(AF_INET, SOCK_RAW, IPPROTO_RAW) : socket(AF_INET, SOCK_DGRAM, 0);
    if (sock < 0) {
        perror("socket");
        return 1;
    }
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
        udp->len = htons(8 + sizeof TEXT - 1);
        memcpy(packets[i] + 28, TEXT, sizeof TEXT - 1);
        pieces[i].iov_base = spoof ? packets[i] : packets[i] + 28;
        pieces[i].iov_len = spoof ? sizeof packets[i] : sizeof TEXT - 1;
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
