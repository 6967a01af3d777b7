/*
 * flanneld's udp backend as bench/kernel/main.ts has it in a netns: the process between a TUN device and a UDP socket. Written from the same
 * description as src/kernel/tun_proxy.py and checked with the same packets (test/kernel/tun-proxy.test.ts). Linux, C11.
 *   proxy run ADDRESS PORT CPU TUN_ADDRESS MTU ROUTE…   the TUN device is standard input; until it is killed
 *   proxy try TUN_ADDRESS MTU ROUTE…                    lines `tun HEX` and `udp HEX`, what is read there; prints what it would do with each:
 *                                                       `send HEX NEXT_HOP PORT`, `icmp HEX`, `write HEX`, `drop`
 * ROUTE is BASE/LENGTH=NEXT_HOP:PORT. As the real one it takes one packet from each side in turn, asks the kernel to wait for more only
 * when neither has any, and makes a system call of each packet.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IP_HEADER = 20, ICMP_HEADER = 8, HEADER_LIMIT = 60, QUOTED = 8, ANSWER_TTL = 8, MTU_MOST = 65535 };
/* of the IPv4 header */
enum { FRAGMENT = 6, TTL = 8, PROTOCOL = 9, CHECKSUM = 10, SOURCE = 12, DESTINATION = 16 };

struct route {
  uint32_t base, mask;
  struct sockaddr_in next_hop;
};

/* What is to be done with the packet in the buffer; ICMP: with the one in the answer. */
enum action { DROP, SEND, WRITE, ICMP };

static uint32_t tun_address;
static int mtu;
static struct route *routes;
static int route_count;
/* One for both directions: behind a short packet stands what an earlier one left. */
static uint8_t buffer[MTU_MOST + 1];
static uint8_t answer[IP_HEADER + ICMP_HEADER + HEADER_LIMIT + QUOTED];
static int answer_length;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static uint32_t get16(const uint8_t *at) { return at[0] << 8 | at[1]; }

static uint32_t get32(const uint8_t *at) { return get16(at) << 16 | get16(at + 2); }

static void put16(uint8_t *at, uint32_t value) {
  at[0] = value >> 8;
  at[1] = value;
}

static void put32(uint8_t *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

/* RFC 1071, of an even number of bytes */
static uint32_t checksum(const uint8_t *data, int length) {
  uint32_t sum = 0;
  for (int i = 0; i < length; i += 2) sum += get16(data + i);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/* A TTL of 0 becomes 255 and lives on. */
static int aged(void) {
  if (--buffer[TTL] == 0) return 0;
  uint32_t before = get16(buffer + CHECKSUM), sum = before + 0x0100;
  put16(buffer + CHECKSUM, before == 0xfeff ? 0 : sum + (sum >> 16));
  return 1;
}

/* The first that matches; it moves to the front. */
static const struct route *routed(uint32_t destination) {
  for (int i = 0; i < route_count; i++) {
    if ((destination & routes[i].mask) != routes[i].base) continue;
    struct route hit = routes[i];
    routes[i] = routes[0];
    routes[0] = hit;
    return routes;
  }
  return NULL;
}

/* ICMP network unreachable about the packet in the buffer */
static enum action unreachable(void) {
  int header = (buffer[0] & 15) * 4;
  if (buffer[PROTOCOL] == IPPROTO_ICMP || (get16(buffer + FRAGMENT) & 0x1fff) != 0 || header >= HEADER_LIMIT) return DROP;
  uint8_t *icmp = answer + IP_HEADER;
  memset(answer, 0, sizeof answer);
  answer_length = IP_HEADER + ICMP_HEADER + header + QUOTED;
  icmp[0] = 3;
  memcpy(icmp + ICMP_HEADER, buffer, header + QUOTED);
  put16(icmp + 2, checksum(icmp, ICMP_HEADER + header + QUOTED));
  answer[0] = 0x45;
  put16(answer + 2, answer_length);
  answer[TTL] = ANSWER_TTL;
  answer[PROTOCOL] = IPPROTO_ICMP;
  put32(answer + SOURCE, tun_address);
  memcpy(answer + DESTINATION, buffer + SOURCE, 4);
  put16(answer + CHECKSUM, checksum(answer, IP_HEADER));
  return ICMP;
}

/* The route first, then the TTL; `hop` is set for SEND. */
static enum action from_tun(int length, const struct route **hop) {
  if (length < IP_HEADER) return DROP;
  *hop = routed(get32(buffer + DESTINATION));
  if (*hop == NULL) return unreachable();
  return aged() ? SEND : DROP;
}

static enum action from_udp(int length) { return length >= IP_HEADER && aged() ? WRITE : DROP; }

/* What the kernel refuses of what is handed to it is lost; the real one only logs it. */
static void hand(ssize_t done) { (void)done; }

static int tun_has(int tun, int udp) {
  ssize_t length = read(tun, buffer, mtu);
  if (length < 0 && errno != EAGAIN) die("TUN");
  if (length < 0) return 0;
  const struct route *hop;
  enum action action = from_tun(length, &hop);
  if (action == SEND) hand(sendto(udp, buffer, length, 0, (const struct sockaddr *)&hop->next_hop, sizeof hop->next_hop));
  if (action == ICMP) hand(write(tun, answer, answer_length));
  return 1;
}

/* An ICMP error that the socket is told of takes one call, and no packet comes of it. */
static int udp_has(int tun, int udp) {
  ssize_t length = recv(udp, buffer, mtu, 0);
  if (length < 0) return errno != EAGAIN;
  if (from_udp(length) == WRITE) hand(write(tun, buffer, length));
  return 1;
}

static void run(int tun, int udp) {
  struct pollfd both[] = {{.fd = tun, .events = POLLIN}, {.fd = udp, .events = POLLIN}};
  fcntl(tun, F_SETFL, O_NONBLOCK);
  fcntl(udp, F_SETFL, O_NONBLOCK);
  while (poll(both, 2, -1) >= 0) {
    int had;
    do {
      had = tun_has(tun, udp);
      had |= udp_has(tun, udp);
    } while (had);
  }
  die("poll");
}

static void told(const char *what, const uint8_t *data, int length) {
  printf("%s ", what);
  for (int i = 0; i < length; i++) printf("%02x", data[i]);
}

static void try(void) {
  char way[4], *text = NULL;
  size_t size = 0;
  while (getline(&text, &size, stdin) > 0) {
    int length = 0, at = 0, digits = 0;
    unsigned byte;
    if (sscanf(text, "%3s %n", way, &at) != 1) continue;
    for (; length < mtu && sscanf(text + at, "%2x%n", &byte, &digits) == 1; at += digits) buffer[length++] = byte;
    const struct route *hop;
    enum action action = strcmp(way, "tun") == 0 ? from_tun(length, &hop) : from_udp(length);
    if (action == DROP) printf("drop");
    if (action == ICMP) told("icmp", answer, answer_length);
    if (action == WRITE) told("write", buffer, length);
    if (action == SEND) {
      told("send", buffer, length);
      printf(" %s %d", inet_ntoa(hop->next_hop.sin_addr), ntohs(hop->next_hop.sin_port));
    }
    printf("\n");
  }
  free(text);
}

static struct sockaddr_in address(const char *host, int port) {
  struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, host, &found.sin_addr) != 1) die(host);
  return found;
}

static void configure(char **words, int count) {
  tun_address = ntohl(address(words[0], 0).sin_addr.s_addr);
  mtu = atoi(words[1]);
  route_count = count - 2;
  routes = calloc(count, sizeof *routes);
  if (routes == NULL || mtu < 1 || mtu > MTU_MOST) die("MTU");
  for (int i = 0; i < route_count; i++) {
    char base[16], next_hop[16];
    int length, port;
    if (sscanf(words[i + 2], "%15[^/]/%d=%15[^:]:%d", base, &length, next_hop, &port) != 4 || length < 1 || length > 32) die(words[i + 2]);
    routes[i] = (struct route){ntohl(address(base, 0).sin_addr.s_addr), 0xffffffffu << (32 - length), address(next_hop, port)};
  }
}

static int bound(const char *host, int port) {
  struct sockaddr_in own = address(host, port);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0) die("bind");
  return fd;
}

static void stay(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) die("sched_setaffinity");
}

int main(int count, char **words) {
  if (count >= 7 && strcmp(words[1], "run") == 0) {
    configure(words + 5, count - 5);
    stay(atoi(words[4]));
    run(STDIN_FILENO, bound(words[2], atoi(words[3])));
  }
  if (count >= 4 && strcmp(words[1], "try") == 0) {
    configure(words + 2, count - 2);
    try();
    return 0;
  }
  fprintf(stderr, "usage: proxy run ADDRESS PORT CPU TUN_ADDRESS MTU ROUTE… | proxy try TUN_ADDRESS MTU ROUTE…\n");
  return 2;
}
