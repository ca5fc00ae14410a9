/*
 * The measuring client: thousands of nodes, each with a loopback address of its own, each reading one file or several
 * with every byte compared. It has no code that warms up, so its measurements show the server alone. Built by benches
 * and campaigns only. Prints one line of JSON; times are milliseconds: to a first reply from the first request for that
 * file, to the finish from the node's first request.
 *
 *   client PORT NODES FETCHES NAME[,NAME...] FOLDER BLKSIZE WINDOWSIZE [RESEND_MS] [FIRST_ADDRESS] [SHARED_ADDRESS]
 *
 * NODES run at once, until FETCHES have begun. Each has an address that no other node of the run has: 127.1.0.0 and up,
 * offset by FIRST_ADDRESS. It reads the named files, which are in FOLDER, in turn, each from another port. With
 * SHARED_ADDRESS all nodes send from that address, as behind a NAT, which does not reuse a port soon: each file of each
 * node has a socket of its own to the end.
 * BLKSIZE 512 and WINDOWSIZE 1 ask for no option. A node that receives nothing for RESEND_MS (default 1000) sends its
 * last packet again, and gives up after PATIENCE_MS without progress.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 128, ROOM = 65536 + 64, PATIENCE_MS = 30000, MAX_FETCHES = 1 << 22, MAX_FILES = 16, EVENTS = 64 };

struct node {
  uint32_t local;              /* network order; 0: not in use */
  int fd, at_file;             /* the socket it sends from, and the file it reads */
  long fetch;
  uint32_t server;             /* address and port of the first reply */
  uint16_t port;
  uint8_t granted;             /* an OACK has arrived */
  uint64_t block, blocks;      /* acknowledged so far, and in the whole file */
  uint64_t began, asked;       /* when the first request left, and the first for this file, in ns */
  uint64_t sent, moved;        /* when the last packet left, and when there was progress */
  int blksize, window, in_window;
};

static struct node *nodes;
static int32_t *slot_of;       /* by number of the fetch; -1: over or not begun */
static double *first_reply, *finish;
static long firsts, finishes;
static struct file {
  uint8_t *bytes;
  size_t size;
  char request[600];
  int request_length, fd;      /* the socket of all nodes that read it, unless each has its own */
} files[MAX_FILES];
static int file_count;
static long begun, failed, resends, blocks_got;
static int epoll, blksize, windowsize, target_port;
static long fetches, first_address, resend_ms = 1000;
static uint32_t shared_address; /* network order; 0: each node has its own */
static int *slot_of_fd;
static int most_fds;

static struct mmsghdr in[BATCH], out[BATCH];
static struct iovec in_iov[BATCH], out_iov[BATCH];
static struct sockaddr_in in_from[BATCH], out_to[BATCH];
static char in_control[BATCH][64], out_control[BATCH][64];
static uint8_t *in_bytes, out_bytes[BATCH][600];
static int queued, queued_fd;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void flush(void) {
  for (int sent = 0; sent < queued;) {
    int n = sendmmsg(queued_fd, out + sent, queued - sent, 0);
    if (n > 0) sent += n;
    else if (errno == EAGAIN) poll(&(struct pollfd){ .fd = queued_fd, .events = POLLOUT }, 1, 10);
    else if (errno != EINTR && errno != ECONNREFUSED) { perror("sendmmsg"); exit(1); }
  }
  queued = 0;
}

static void queue(struct node *n, const void *bytes, int length, uint32_t to, uint16_t port, uint64_t now) {
  if (queued == BATCH || queued_fd != n->fd) flush();
  queued_fd = n->fd;
  struct msghdr *m = &out[queued].msg_hdr;
  memcpy(out_bytes[queued], bytes, length);
  out_iov[queued].iov_len = length;
  out_to[queued] = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = to, .sin_port = port };
  struct cmsghdr *c = CMSG_FIRSTHDR(m);
  ((struct in_pktinfo *)CMSG_DATA(c))->ipi_spec_dst.s_addr = n->local;
  n->sent = now;
  queued++;
}

static void ask(struct node *n, uint64_t now) {
  struct file *file = &files[n->at_file];
  queue(n, file->request, file->request_length, htonl(INADDR_LOOPBACK), htons(target_port), now);
}

static void acknowledge(struct node *n, uint64_t now) {
  uint8_t ack[4] = { 0, 4, n->block >> 8, n->block };
  n->in_window = 0;
  queue(n, ack, 4, n->server, n->port, now);
}

static int open_socket(uint32_t address) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (fd < 0) { perror("socket"); exit(1); }
  if (fd >= most_fds) { fprintf(stderr, "client: expected descriptors below %d, got %d\n", most_fds, fd); exit(1); }
  int on = 1, big = 64 << 20;
  setsockopt(fd, SOL_IP, IP_PKTINFO, &on, sizeof on);
  if (!address) {
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big)) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big)) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
  }
  struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = address };
  if (bind(fd, (void *)&from, sizeof from)) { perror("bind"); exit(1); }
  struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) { perror("epoll_ctl"); exit(1); }
  return fd;
}

static uint32_t address_of(long fetch) {
  uint32_t number = first_address + fetch;
  return htonl(127u << 24 | ((1 + (number >> 16)) & 255) << 16 | (number & 65535));
}

static void read_file(int slot, int at_file, uint64_t now) {
  struct node *n = &nodes[slot];
  struct file *file = &files[at_file];
  *n = (struct node){ .local = n->local, .fetch = n->fetch, .began = n->began, .fd = file->fd, .at_file = at_file,
    .asked = now, .moved = now, .blksize = 512, .window = 1, .blocks = file->size / 512 + 1 };
  if (shared_address) slot_of_fd[n->fd = open_socket(shared_address)] = slot;
  ask(n, now);
}

static void begin(int slot, uint64_t now) {
  struct node *n = &nodes[slot];
  n->local = 0;
  if (begun == fetches) return;
  n->fetch = begun++;
  n->began = now;
  n->local = shared_address ? shared_address : address_of(n->fetch);
  slot_of[n->fetch] = slot;
  read_file(slot, 0, now);
}

static void end(int slot, int complete, uint64_t now) {
  struct node *n = &nodes[slot];
  if (shared_address) slot_of_fd[n->fd] = -1;
  if (complete && n->at_file + 1 < file_count) { read_file(slot, n->at_file + 1, now); return; }
  slot_of[n->fetch] = -1;
  if (complete) finish[finishes++] = (now - n->began) / 1e6;
  else failed++;
  begin(slot, now);
}

static int to_number(const char *text) { return atoi(text); }

static int read_oack(struct node *n, const char *p, const char *stop) {
  while (p < stop) {
    const char *name = p, *value = name + strnlen(name, stop - name) + 1;
    if (value >= stop) return 0;
    if (!strcasecmp(name, "blksize")) n->blksize = to_number(value);
    if (!strcasecmp(name, "windowsize")) n->window = to_number(value);
    p = value + strnlen(value, stop - value) + 1;
  }
  if (n->blksize < 8 || n->window < 1) return 0;
  n->blocks = files[n->at_file].size / n->blksize + 1;
  return 1;
}

/* Returns the slot of the node that the packet is for; -1: no node. */
static int slot_for(int fd, struct msghdr *m) {
  if (shared_address) return slot_of_fd[fd];
  struct cmsghdr *c = CMSG_FIRSTHDR(m);
  if (!c || c->cmsg_type != IP_PKTINFO) return -1;
  uint32_t host = ntohl(((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr.s_addr);
  long fetch = ((long)((host >> 16 & 255) - 1) << 16 | (host & 65535)) - first_address;
  return fetch < 0 || fetch >= fetches ? -1 : slot_of[fetch];
}

static void on_packet(int fd, int i, uint64_t now) {
  int slot = slot_for(fd, &in[i].msg_hdr);
  /* A packet for a file that has been read already is late. */
  if (slot < 0 || nodes[slot].fd != fd) return;
  struct node *n = &nodes[slot];
  const uint8_t *bytes = in_bytes + (size_t)i * ROOM;
  int length = in[i].msg_len;
  if (length < 4 || bytes[0] != 0) return;
  if (n->port == 0) {
    if (bytes[1] == 5) { end(slot, 0, now); return; }
    n->server = in_from[i].sin_addr.s_addr;
    n->port = in_from[i].sin_port;
    first_reply[firsts++] = (now - n->asked) / 1e6;
    n->moved = now;
  } else if (n->port != in_from[i].sin_port || n->server != in_from[i].sin_addr.s_addr) return;
  if (bytes[1] == 5) { end(slot, 0, now); return; }
  if (bytes[1] == 6) {
    if (n->block > 0) return;
    if (!n->granted && !read_oack(n, (const char *)bytes + 2, (const char *)bytes + length)) { end(slot, 0, now); return; }
    n->granted = 1;
    acknowledge(n, now);
    return;
  }
  if (bytes[1] != 3) return;
  uint16_t wire = bytes[2] << 8 | bytes[3], expected = n->block + 1;
  if (wire != expected) {
    /* A gap or a repetition: the last block in order is acknowledged once for each window. */
    if (n->window > 1 && (uint16_t)(wire - expected) < 32768 && n->in_window >= 0) {
      acknowledge(n, now);
      n->in_window = -1;
    }
    return;
  }
  struct file *file = &files[n->at_file];
  size_t at = n->block * (size_t)n->blksize, left = file->size - at;
  size_t size = left < (size_t)n->blksize ? left : (size_t)n->blksize;
  if ((size_t)length - 4 != size || memcmp(bytes + 4, file->bytes + at, size)) { end(slot, 0, now); return; }
  n->block++;
  n->moved = now;
  blocks_got++;
  if (n->in_window < 0) n->in_window = 0;
  if (n->block == n->blocks) {
    acknowledge(n, now);
    end(slot, 1, now);
  } else if (++n->in_window >= n->window) acknowledge(n, now);
}

static void receive(int fd) {
  for (int n = BATCH, rounds = 0; n == BATCH && rounds < 16; rounds++) {
    for (int i = 0; i < BATCH; i++) {
      in[i].msg_hdr = (struct msghdr){ .msg_name = &in_from[i], .msg_namelen = sizeof in_from[i], .msg_iov = &in_iov[i],
        .msg_iovlen = 1, .msg_control = in_control[i], .msg_controllen = sizeof in_control[i] };
    }
    n = recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
    uint64_t now = now_ns();
    for (int i = 0; i < n; i++) on_packet(fd, i, now);
    flush();
  }
}

static long check_timers(long count, uint64_t now) {
  long active = 0;
  for (long slot = 0; slot < count; slot++) {
    struct node *n = &nodes[slot];
    if (!n->local) continue;
    active++;
    if (now - n->moved > PATIENCE_MS * 1000000ull) { end(slot, 0, now); continue; }
    if (now - n->sent < resend_ms * 1000000ull) continue;
    resends++;
    if (n->port == 0) ask(n, now);
    else acknowledge(n, now);
  }
  return active;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print_percentiles(const char *name, double *values, long count) {
  qsort(values, count, sizeof *values, by_value);
  double shares[] = { 0.5, 0.99, 1 };
  const char *names[] = { "p50", "p99", "max" };
  printf("\"%s\":{", name);
  for (int i = 0; i < 3; i++) {
    long at = (long)(shares[i] * count + 0.999999) - 1;
    printf("%s\"%s\":%.2f", i ? "," : "", names[i], count ? values[at < 0 ? 0 : at] : 0.0);
  }
  printf("},");
}

static void add_file(const char *folder, const char *name) {
  struct file *file = &files[file_count++];
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int source = open(path, O_RDONLY);
  struct stat st;
  if (source < 0 || fstat(source, &st) < 0) { perror(path); exit(1); }
  file->size = st.st_size;
  file->bytes = mmap(NULL, file->size ? file->size : 1, PROT_READ, MAP_PRIVATE | MAP_POPULATE, source, 0);
  close(source);
  char *p = file->request;
  p += sprintf(p, "%c%c%.400s", 0, 1, name) + 1;
  p += sprintf(p, "octet") + 1;
  if (blksize != 512) { p += sprintf(p, "blksize") + 1; p += sprintf(p, "%d", blksize) + 1; }
  if (windowsize != 1) { p += sprintf(p, "windowsize") + 1; p += sprintf(p, "%d", windowsize) + 1; }
  file->request_length = p - file->request;
  if (!shared_address) file->fd = open_socket(0);
}

int main(int argc, char **argv) {
  if (argc < 8) {
    fprintf(stderr, "usage: client PORT NODES FETCHES NAME[,NAME...] FOLDER BLKSIZE WINDOWSIZE [RESEND_MS] [FIRST_ADDRESS] [SHARED_ADDRESS]\n");
    return 2;
  }
  long count = atol(argv[2]);
  target_port = atoi(argv[1]);
  fetches = atol(argv[3]);
  blksize = atoi(argv[6]);
  windowsize = atoi(argv[7]);
  if (argc > 8) resend_ms = atol(argv[8]);
  if (argc > 9) first_address = atol(argv[9]);
  if (argc > 10 && inet_pton(AF_INET, argv[10], &shared_address) != 1) return 2;
  if (count < 1 || fetches < 1 || fetches + first_address > MAX_FETCHES || blksize < 8 || windowsize < 1) return 2;
  for (const char *at = argv[4]; at; at = strchr(at + 1, ',')) most_fds += fetches;
  most_fds += 64;
  struct rlimit descriptors;
  getrlimit(RLIMIT_NOFILE, &descriptors);
  if (shared_address && descriptors.rlim_cur < (rlim_t)most_fds) {
    descriptors.rlim_cur = most_fds;
    if (descriptors.rlim_max < descriptors.rlim_cur) descriptors.rlim_max = most_fds;
    if (setrlimit(RLIMIT_NOFILE, &descriptors)) { perror("setrlimit"); return 1; }
  }
  slot_of_fd = malloc(most_fds * sizeof *slot_of_fd);
  memset(slot_of_fd, -1, most_fds * sizeof *slot_of_fd);
  epoll = epoll_create1(0);
  for (char *name = strtok(argv[4], ","); name; name = strtok(NULL, ",")) {
    if (file_count == MAX_FILES) return 2;
    add_file(argv[5], name);
  }
  if (file_count == 0) return 2;

  nodes = calloc(count, sizeof *nodes);
  slot_of = malloc(fetches * sizeof *slot_of);
  memset(slot_of, -1, fetches * sizeof *slot_of);
  first_reply = malloc(fetches * file_count * sizeof *first_reply);
  finish = malloc(fetches * sizeof *finish);
  in_bytes = malloc((size_t)BATCH * ROOM);
  for (int i = 0; i < BATCH; i++) {
    in_iov[i] = (struct iovec){ in_bytes + (size_t)i * ROOM, ROOM };
    out_iov[i] = (struct iovec){ out_bytes[i], 0 };
    out[i].msg_hdr = (struct msghdr){ .msg_name = &out_to[i], .msg_namelen = sizeof out_to[i], .msg_iov = &out_iov[i],
      .msg_iovlen = 1, .msg_control = out_control[i], .msg_controllen = CMSG_SPACE(sizeof(struct in_pktinfo)) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&out[i].msg_hdr);
    *c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)), .cmsg_level = SOL_IP, .cmsg_type = IP_PKTINFO };
  }

  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  uint64_t started = now_ns(), timers = started;
  for (long slot = 0; slot < count; slot++) begin(slot, now_ns());
  flush();
  for (;;) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(epoll, events, EVENTS, 20);
    for (int e = 0; e < ready; e++) receive(events[e].data.fd);
    flush();
    uint64_t now = now_ns();
    if (now - timers < 20000000ull && finishes + failed < fetches) continue;
    timers = now;
    if (check_timers(count, now) == 0) break;
    flush();
  }
  getrusage(RUSAGE_SELF, &after);
  double cpu = (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1e3 +
    (after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1e3;
  printf("{\"wallMs\":%.0f,\"failed\":%ld,\"blocks\":%ld,\"resends\":%ld,", (now_ns() - started) / 1e6, failed, blocks_got, resends);
  print_percentiles("firstReplyMs", first_reply, firsts);
  print_percentiles("finishMs", finish, finishes);
  printf("\"clientCpuMs\":%.0f}\n", cpu);
  return 0;
}
