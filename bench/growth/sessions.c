// sessions: logs in many libiscsi sessions at once, then reads 4 KiB blocks by all of them. Prints one JSON object.
// cc -O2 sessions.c -liscsi -o sessions; sessions SESSIONS DEPTH SECONDS LUNS PID IDLE_SECONDS URL [URL...]
// DEPTH is the total, shared out over the sessions; sessions go round the URLs; each request goes to the next of LUNS units.
// The CPU is that of the process PID: while all sessions are idle, and for each read.
#define _GNU_SOURCE
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#define SESSIONS_MAX 2048
#define BLOCKS 64 /* of 4 KiB, written and read at each unit */

static struct iscsi_context *sessions[SESSIONS_MAX];
static int count, luns, connected, inflight, stop, lun_base;
static uint64_t ops, next_unit;
static unsigned char data[BLOCKS * 4096];
static uint64_t rng = 88172645463325252ull;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static uint64_t rnd(void) { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; return rng; }
static void die(const char *what, const char *why) { fprintf(stderr, "sessions: %s: %s\n", what, why); exit(1); }

static double cpu_seconds(const char *pid) {
  char path[64], text[1024]; snprintf(path, sizeof path, "/proc/%s/stat", pid);
  FILE *f = fopen(path, "r"); if (!f || !fgets(text, sizeof text, f)) die("stat", path);
  fclose(f);
  unsigned long user, system; char *after = strrchr(text, ')');
  if (sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) die("stat", text);
  return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static void turn(int milliseconds) {
  static struct pollfd fds[SESSIONS_MAX];
  for (int i = 0; i < count; i++) { fds[i].fd = iscsi_get_fd(sessions[i]); fds[i].events = iscsi_which_events(sessions[i]); }
  if (poll(fds, count, milliseconds) < 0) die("poll", "failed");
  for (int i = 0; i < count; i++)
    if (fds[i].revents && iscsi_service(sessions[i], fds[i].revents) < 0) die("session", iscsi_get_error(sessions[i]));
}

static void on_connected(struct iscsi_context *c, int status, void *d, void *arg) {
  if (status) die("login", iscsi_get_error(c));
  connected++;
}

static void issue(struct iscsi_context *c);
static void on_read(struct iscsi_context *c, int status, void *d, void *arg) {
  if (status != SCSI_STATUS_GOOD) die("read", iscsi_get_error(c));
  scsi_free_scsi_task(d); inflight--; ops++;
  if (!stop) issue(c);
}
static void issue(struct iscsi_context *c) {
  if (!iscsi_read10_task(c, lun_base + next_unit++ % luns, rnd() % BLOCKS * 8, 4096, 512, 0, 0, 0, 0, 0, on_read, NULL))
    die("read", iscsi_get_error(c));
  inflight++;
}

static void on_any(struct iscsi_context *c, int status, void *d, void *arg) {
  *(int *)arg = status + 1;
  scsi_free_scsi_task(d);
}

/* Unit attentions of a new session go by. */
static void settle_units(struct iscsi_context *c) {
  for (int lun = lun_base; lun < lun_base + luns; lun++) {
    int result;
    for (int tries = 0; tries < 4; tries++) {
      result = 0;
      if (!iscsi_testunitready_task(c, lun, on_any, &result)) die("test unit ready", iscsi_get_error(c));
      while (!result) turn(1000);
      if (result == 1) break;
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 8) die("usage", "SESSIONS DEPTH SECONDS LUNS PID IDLE_SECONDS URL [URL...]");
  int wanted = atoi(argv[1]), depth = atoi(argv[2]), urls = argc - 7;
  double seconds = atof(argv[3]), idle = atof(argv[6]);
  const char *pid = argv[5];
  luns = atoi(argv[4]);
  if (wanted > SESSIONS_MAX) die("sessions", "too many");
  double began = now(), cpu = cpu_seconds(pid);
  for (count = 0; count < wanted; count++) {
    char name[64]; snprintf(name, sizeof name, "iqn.2026-11.io.varray:growth-%d", count);
    struct iscsi_context *c = sessions[count] = iscsi_create_context(name);
    struct iscsi_url *url = iscsi_parse_full_url(c, argv[7 + count % urls]);
    if (!url) die("url", iscsi_get_error(c));
    lun_base = url->lun;
    iscsi_set_targetname(c, url->target); iscsi_set_session_type(c, ISCSI_SESSION_NORMAL); iscsi_set_header_digest(c, ISCSI_HEADER_DIGEST_NONE);
    iscsi_set_noautoreconnect(c, 1);
    if (iscsi_full_connect_async(c, url->portal, url->lun, on_connected, NULL)) die("connect", iscsi_get_error(c));
    iscsi_destroy_url(url);
  }
  while (connected < wanted) turn(1000);
  double login_seconds = now() - began, login_cpu = cpu_seconds(pid) - cpu;

  double report = 1e9; int reported = 0;
  for (int n = 0; n < 20; n++) {
    began = now();
    struct scsi_task *task = iscsi_reportluns_sync(sessions[0], 0, 65536);
    if (!task || task->status != SCSI_STATUS_GOOD) die("report luns", iscsi_get_error(sessions[0]));
    double took = now() - began; if (took < report) report = took;
    struct scsi_reportluns_list *list = scsi_datain_unmarshall(task);
    reported = list->num; scsi_free_scsi_task(task);
  }

  for (int i = 0; i < count; i++) settle_units(sessions[i]);
  for (int lun = lun_base; lun < lun_base + luns; lun++) {
    struct scsi_task *task = iscsi_write10_sync(sessions[0], lun, 0, data, sizeof data, 512, 0, 0, 0, 0, 0);
    if (!task || task->status != SCSI_STATUS_GOOD) die("write", iscsi_get_error(sessions[0]));
    scsi_free_scsi_task(task);
  }

  for (began = now(); now() - began < 1.5;) turn(100);
  began = now(); cpu = cpu_seconds(pid);
  while (now() - began < idle) turn(100);
  double idle_cpu = (cpu_seconds(pid) - cpu) / (now() - began);

  double reads_cpu = 0, reads_seconds = 0;
  if (seconds > 0) {
    for (int i = 0; i < depth; i++) issue(sessions[i % count]);
    for (began = now(); now() - began < 0.5;) turn(1000);
    ops = 0; began = now(); cpu = cpu_seconds(pid);
    while (now() - began < seconds) turn(1000);
    reads_cpu = cpu_seconds(pid) - cpu; reads_seconds = now() - began;
    uint64_t done = ops; stop = 1;
    while (inflight > 0) turn(1000);
    ops = done;
  }
  printf("{\"sessions\":%d,\"loginSeconds\":%.4f,\"loginCpuSeconds\":%.3f,\"lunsReported\":%d,\"reportLunsMicroseconds\":%.0f,"
         "\"idleCpu\":%.4f,\"readsPerSecond\":%.0f,\"cpuMicrosecondsPerRead\":%.2f}\n",
         count, login_seconds, login_cpu, reported, report * 1e6, idle_cpu, reads_seconds ? ops / reads_seconds : 0,
         ops && reads_seconds ? reads_cpu * 1e6 / ops : 0);
  fflush(stdout);
  /* With input: the sessions stay until it ends, so that the caller can look at the process. */
  struct pollfd in = { 0, POLLIN, 0 };
  while (poll(&in, 1, 0) == 0) turn(50);
  return 0;
}
