/*
 * The sending and the receiving end of bench/kernel/main.ts, in a netns each. Linux, C11.
 *   sender send ADDRESS PORT PAYLOAD PACKETS CPU [WINDOW FIFO]   a connected UDP socket, 32 packets a system call; prints the thread's CPU, ns a packet.
 *                                                                On a veth path the whole of it runs in softirqs inside the sender's system call.
 *   sender take PORT CPU [WINDOW FIFO]                           takes whatever comes, until it is killed
 * With WINDOW, a multiple of 32, no more than so many packets are under way: the taker writes a byte into FIFO when it has them all, and only then the
 * next are sent, or the sender ends. For a path with processes on it, whose queues would overflow.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 32, LARGEST = 2048, WARM_PACKETS = 256, LATEST_MS = 5000 };

/* Of one window; 0: as fast as it goes */
static long window;
static int fifo;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void stay(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) die("sched_setaffinity");
}

static double spent(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage) != 0) die("getrusage");
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static struct sockaddr_in address(const char *host, int port) {
  struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, host, &found.sin_addr) != 1) die(host);
  return found;
}

static int batch(struct mmsghdr *messages, struct iovec *parts, char (*data)[LARGEST], int length) {
  memset(messages, 0, BATCH * sizeof *messages);
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){data[i], length};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  return BATCH;
}

static char data[BATCH][LARGEST];
static struct mmsghdr messages[BATCH];
static struct iovec parts[BATCH];

static void paced(const char *packets, const char *path) {
  window = atol(packets);
  fifo = open(path, O_RDWR);
  if (fifo < 0) die(path);
  if (window < BATCH || window % BATCH != 0 || WARM_PACKETS % window != 0) exit(2);
}

static void wait_for_window(void) {
  struct pollfd byte = {.fd = fifo, .events = POLLIN};
  char taken;
  if (poll(&byte, 1, LATEST_MS) != 1) {
    fprintf(stderr, "packets of a window were lost\n");
    exit(1);
  }
  if (read(fifo, &taken, 1) != 1) die("fifo");
}

/* @returns how many: so many, rounded up to whole windows or batches */
static long send_packets(int fd, long packets) {
  long sent = 0;
  while (sent < packets || (window > 0 && sent % window != 0)) {
    int done = sendmmsg(fd, messages, BATCH, 0);
    if (done < 0) die("sendmmsg");
    sent += done;
    if (window > 0 && sent % window == 0) wait_for_window();
  }
  return sent;
}

static int send_all(const char *host, int port, int payload, long packets) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in to = address(host, port), own = address("0.0.0.0", 40000);
  if (payload < 0 || payload > LARGEST) return 2;
  if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0) die("bind");
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) die("connect");
  batch(messages, parts, data, payload);
  /* neighbours, caches and the connection's entry are there before the clock starts */
  send_packets(fd, WARM_PACKETS);
  double before = spent();
  long sent = send_packets(fd, packets);
  printf("%.1f\n", (spent() - before) / sent);
  return 0;
}

static int take_all(int port) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in own = address("0.0.0.0", port);
  if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0) die("bind");
  batch(messages, parts, data, LARGEST);
  long taken = 0;
  for (int done; (done = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL)) >= 0;) {
    taken += done;
    for (; window > 0 && taken >= window; taken -= window)
      if (write(fifo, "", 1) != 1) die("fifo");
  }
  return 1;
}

int main(int count, char **words) {
  if ((count == 7 || count == 9) && strcmp(words[1], "send") == 0) {
    stay(atoi(words[6]));
    if (count == 9) paced(words[7], words[8]);
    return send_all(words[2], atoi(words[3]), atoi(words[4]), atol(words[5]));
  }
  if ((count == 4 || count == 6) && strcmp(words[1], "take") == 0) {
    stay(atoi(words[3]));
    if (count == 6) paced(words[4], words[5]);
    return take_all(atoi(words[2]));
  }
  fprintf(stderr, "usage: sender send ADDRESS PORT PAYLOAD PACKETS CPU [WINDOW FIFO] | sender take PORT CPU [WINDOW FIFO]\n");
  return 2;
}
