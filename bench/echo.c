/* Sends each datagram back: what the system alone costs. See echo.py. */

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

enum { BUFFER_BYTES = 1 << 22 };

static char datagram[65536];

int main(void)
{
    int server = socket(AF_INET, SOCK_DGRAM, 0);
    int size = BUFFER_BYTES;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;

    setsockopt(server, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(server, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (server < 0 || bind(server, (struct sockaddr *)&address, length)
        || getsockname(server, (struct sockaddr *)&address, &length)) {
        perror("echo");
        return 1;
    }
    printf("Listening on udp 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        length = sizeof address;
        ssize_t bytes = recvfrom(server, datagram, sizeof datagram, 0,
                                 (struct sockaddr *)&address, &length);
        if (bytes >= 0)
            sendto(server, datagram, bytes, 0, (struct sockaddr *)&address, length);
    }
}
