/*
 * The yardstick: the same system calls as the Linux engine, in C, and nothing else. It answers read requests with an
 * OACK, sends windows, and has no timers, no checks and hardly any error handling. It shows the cost of the calls, so
 * that the difference to the product is the cost of everything else that the product does. Built by the bench alone.
 *
 *   reference ROOT ADDRESS PORT [DATA_PORTS]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { RECV = 64, SEND = 512, IOVECS = 4096, TABLE = 1 << 15, PORTS = 16, FILES = 64 };

struct file { char name[256]; uint8_t *bytes; size_t size; };
struct transfer { uint64_t key; const uint8_t *bytes; size_t size, acked, blocks; int blksize, window; struct sockaddr_in peer; };

static struct file files[FILES];
static struct transfer table[PORTS][TABLE];
static int data_fd[PORTS], data_ports = 4, file_count;

static struct mmsghdr in[RECV], out[SEND];
static struct iovec in_iov[RECV], out_iov[IOVECS];
static struct sockaddr_in in_from[RECV], out_to[SEND];
static uint8_t in_bytes[RECV][2048], headers[65536][4], control[SEND][24], oacks[SEND][128];
static int entries, iovecs, out_fd;

static uint64_t key_of(const struct sockaddr_in *a) { return (uint64_t)a->sin_addr.s_addr << 16 | a->sin_port; }

static struct transfer *find(int port, uint64_t key, int make) {
  for (uint32_t h = (key * 0x9E3779B97F4A7C15ull) >> 49;; h = (h + 1) & (TABLE - 1)) {
    if (table[port][h].key == key) return &table[port][h];
    if (!table[port][h].key) return make ? (table[port][h].key = key, &table[port][h]) : NULL;
  }
}

static struct file *load(const char *name) {
  for (int i = 0; i < file_count; i++) if (!strcmp(files[i].name, name)) return &files[i];
  int fd = open(name, O_RDONLY);
  struct stat st;
  if (fd < 0 || file_count == FILES || fstat(fd, &st) < 0) return NULL;
  struct file *f = &files[file_count++];
  snprintf(f->name, sizeof f->name, "%s", name);
  f->size = st.st_size;
  f->bytes = mmap(NULL, f->size ? f->size : 1, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  close(fd);
  return f;
}

static void flush(void) {
  for (int sent = 0; sent < entries;) {
    int n = sendmmsg(out_fd, out + sent, entries - sent, 0);
    sent += n > 0 ? n : 1;
  }
  entries = iovecs = 0;
}

static struct msghdr *entry(int fd, const struct sockaddr_in *to) {
  if (fd != out_fd || entries == SEND || iovecs + 130 > IOVECS) { flush(); out_fd = fd; }
  struct msghdr *m = &out[entries].msg_hdr;
  out_to[entries] = *to;
  *m = (struct msghdr){ .msg_name = &out_to[entries], .msg_namelen = sizeof *to, .msg_iov = &out_iov[iovecs] };
  entries++;
  return m;
}

static void put(struct msghdr *m, void *bytes, size_t length) {
  out_iov[iovecs++] = (struct iovec){ bytes, length };
  m->msg_iovlen++;
}

/* Sends the blocks that the window allows, combining blocks of equal length. */
static void send_window(int fd, struct transfer *t) {
  size_t last = t->acked + t->window < t->blocks ? t->acked + t->window : t->blocks;
  int most = 65507 / (t->blksize + 4) < 64 ? 65507 / (t->blksize + 4) : 64;
  for (size_t block = t->acked + 1; block <= last;) {
    struct msghdr *m = entry(fd, &t->peer);
    int segments = 0;
    for (; block <= last && segments < most; block++, segments++) {
      size_t at = (block - 1) * t->blksize, left = t->size - at;
      put(m, headers[block & 65535], 4);
      put(m, (void *)(t->bytes + at), left < (size_t)t->blksize ? left : (size_t)t->blksize);
    }
    if (segments < 2) continue;
    struct cmsghdr *c = (void *)control[entries - 1];
    *c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(2), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT };
    *(uint16_t *)CMSG_DATA(c) = t->blksize + 4;
    m->msg_control = c;
    m->msg_controllen = CMSG_SPACE(2);
  }
}

static void on_request(char *p, char *end, const struct sockaddr_in *from) {
  static int turn;
  int port = turn++ % data_ports, fd = data_fd[port];
  struct file *f = load(p + 2);
  if (!f) return;
  struct transfer *t = find(port, key_of(from), 1);
  *t = (struct transfer){ .key = t->key, .bytes = f->bytes, .size = f->size, .blksize = 512, .window = 1, .peer = *from };
  struct msghdr *m = entry(fd, from);
  char *oack = (char *)oacks[entries - 1];
  int length = 2;
  oack[0] = 0; oack[1] = 6;
  p += 2; p += strlen(p) + 1; p += strlen(p) + 1;
  while (p < end) {
    char *name = p, *value = p + strlen(p) + 1;
    p = value + strlen(value) + 1;
    if (!strcasecmp(name, "blksize")) t->blksize = atoi(value);
    if (!strcasecmp(name, "windowsize")) t->window = atoi(value);
    length += sprintf(oack + length, "%s", name) + 1;
    length += !strcasecmp(name, "tsize") ? sprintf(oack + length, "%zu", f->size) + 1 : sprintf(oack + length, "%s", value) + 1;
  }
  t->blocks = t->size / t->blksize + 1;
  if (length > 2) put(m, oack, length);
  else { entries--; send_window(fd, t); }
}

static void on_ack(int port, const uint8_t *bytes, int length, const struct sockaddr_in *from) {
  struct transfer *t = find(port, key_of(from), 0);
  if (!t || length < 4 || bytes[1] != 4) return;
  size_t block = (t->acked & ~(size_t)65535) | bytes[2] << 8 | bytes[3];
  if (block < t->acked && t->acked - block > 32768) block += 65536;
  if (block < t->acked || (block == t->acked && block > 0)) return;
  t->acked = block;
  if (block < t->blocks) send_window(data_fd[port], t);
}

static int udp(const char *address, int port) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), size = 8 << 20, big = 32 << 20;
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
  inet_pton(AF_INET, address, &a.sin_addr);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size)) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big)) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
  if (bind(fd, (void *)&a, sizeof a)) { perror("bind"); exit(1); }
  return fd;
}

int main(int argc, char **argv) {
  if (argc < 4 || chdir(argv[1])) { fprintf(stderr, "usage: reference ROOT ADDRESS PORT [DATA_PORTS]\n"); return 2; }
  if (argc > 4) data_ports = atoi(argv[4]);
  if (data_ports < 1 || data_ports > PORTS) return 2;
  for (int i = 0; i < 65536; i++) memcpy(headers[i], (uint8_t[]){ 0, 3, i >> 8, i }, 4);
  for (int i = 0; i < RECV; i++) {
    in_iov[i] = (struct iovec){ in_bytes[i], sizeof in_bytes[i] };
    in[i].msg_hdr = (struct msghdr){ .msg_name = &in_from[i], .msg_iov = &in_iov[i], .msg_iovlen = 1 };
  }
  int epoll = epoll_create1(0), requests = udp(argv[2], atoi(argv[3]));
  struct epoll_event e = { .events = EPOLLIN, .data.u32 = PORTS };
  epoll_ctl(epoll, EPOLL_CTL_ADD, requests, &e);
  for (int i = 0; i < data_ports; i++) {
    data_fd[i] = udp(argv[2], 0);
    e.data.u32 = i;
    epoll_ctl(epoll, EPOLL_CTL_ADD, data_fd[i], &e);
  }
  puts("ready");
  fflush(stdout);
  for (struct epoll_event ready[PORTS + 1];;) {
    int count = epoll_wait(epoll, ready, PORTS + 1, -1);
    for (int r = 0; r < count; r++) {
      int port = ready[r].data.u32, fd = port == PORTS ? requests : data_fd[port];
      for (int n = RECV; n == RECV;) {
        for (int i = 0; i < RECV; i++) in[i].msg_hdr.msg_namelen = sizeof in_from[i];
        n = recvmmsg(fd, in, RECV, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) {
          in_bytes[i][in[i].msg_len < 2047 ? in[i].msg_len : 2047] = 0;
          if (port == PORTS) on_request((char *)in_bytes[i], (char *)in_bytes[i] + in[i].msg_len, &in_from[i]);
          else on_ack(port, in_bytes[i], in[i].msg_len, &in_from[i]);
        }
        flush();
      }
    }
  }
}
