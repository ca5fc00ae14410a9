/*
 * Sends read requests from forged loopback addresses through a raw socket:
 *   flood PORT PER_SECOND SECONDS NAME [OPTION VALUE]...
 * Each # in NAME becomes a random hexadecimal digit. Prints the number of packets sent. Run it as root, in a network
 * namespace of its own.
 */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int count, char **arguments) {
  if (count < 5) {
    fprintf(stderr, "Expected PORT PER_SECOND SECONDS NAME [OPTION VALUE]...\n");
    return 2;
  }
  double rate = atof(arguments[2]), seconds = atof(arguments[3]);
  unsigned char packet[1500] = {0};
  struct iphdr *ip = (struct iphdr *)packet;
  struct udphdr *udp = (struct udphdr *)(packet + sizeof *ip);
  unsigned char *request = packet + sizeof *ip + sizeof *udp;
  size_t length = 2;
  request[1] = 1;
  for (int at = 4; at < count; at++) {
    length += snprintf((char *)request + length, 1000 - length, "%s", arguments[at]) + 1;
    if (at == 4) length += snprintf((char *)request + length, 1000 - length, "octet") + 1;
  }
  ip->version = 4;
  ip->ihl = 5;
  ip->ttl = 64;
  ip->protocol = IPPROTO_UDP;
  ip->daddr = htonl(INADDR_LOOPBACK);
  udp->dest = htons(atoi(arguments[1]));
  udp->len = htons(sizeof *udp + length);
  int raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (raw < 0) {
    perror("socket");
    return 1;
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  double start = now();
  long sent = 0;
  while (now() - start < seconds) {
    while (sent < (now() - start) * rate) {
      uint32_t random = (uint32_t)lrand48();
      /* Addresses from 127.1.0.0 to 127.127.255.255: no honest node of the test uses these networks. */
      ip->saddr = htonl(0x7f000000u | ((1 + random % 127) << 16) | ((uint32_t)lrand48() & 0xffff));
      udp->source = htons(1024 + lrand48() % 60000);
      for (const char *at = strchr(arguments[4], '#'); at != NULL; at = strchr(at + 1, '#'))
        request[2 + (at - arguments[4])] = "0123456789abcdef"[lrand48() & 15];
      sendto(raw, packet, sizeof *ip + sizeof *udp + length, 0, (struct sockaddr *)&to, sizeof to);
      sent++;
    }
    usleep(200);
  }
  printf("%ld\n", sent);
  return 0;
}
