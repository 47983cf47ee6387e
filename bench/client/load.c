/*
 * load: drives an iSCSI logical unit with libiscsi at a given queue depth and prints one line of JSON.
 *
 *   cc -O2 load.c proc-usage.c -liscsi -o load
 *   load -m MODE [options] URL [URL...]        iscsi://HOST:PORT/IQN/LUN
 *
 *   -m MODE     randread randwrite randmixW (W % writes) seqread seqwrite
 *   -b BYTES    of each command (4096)           -q DEPTH    commands in flight, all sessions together (1)
 *   -t SECONDS  measured (3)                     -w SECONDS  before that, not measured (0.3)
 *   -n OPS      stop after so many, all of them measured; -t and -w don't count then
 *   -S MIB      only the first so many of the unit (all)
 *   -s COUNT    sessions (one for each URL); they go round the URLs
 *   -f          writes with FUA                  -p PID,...  measure what these processes use
 *
 * One thread, one poll loop, as a host's initiator has one for each session. Each command's time is from when it is
 * given to libiscsi to when libiscsi tells its end. Counted are commands that begin in the measured time.
 * BUSY and TASK SET FULL are "refused": counted, and issued again. Any other status than GOOD ends the run with status 1.
 */
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

#include "proc-usage.h"

#define SESSIONS_MAX 1024
#define LATENCY_MICROSECONDS_MAX 1000000  /* buckets of 1 µs; what took longer stands in the last, and in the maximum */
#define ANSWER_MILLISECONDS_MAX 15000
#define DRAIN_SECONDS_MAX 5
#define FUA 1

struct session { struct iscsi_context *context; int lun; uint64_t next; };
struct request { struct session *session; double issued_at; unsigned char *data; };

static struct {
  const char *mode, *pids;
  int bytes, depth, sessions, write_percent, random, fua;
  double seconds, warm_seconds, span_mebibytes;
  uint64_t ops_max;
} options = {.mode = "randread", .pids = "", .bytes = 4096, .depth = 1, .seconds = 3, .warm_seconds = 0.3};

static struct session sessions[SESSIONS_MAX];
static struct usage usage_before, usage_after;
static uint32_t latencies[LATENCY_MICROSECONDS_MAX + 1];
static uint64_t ended, refused, issued, span_blocks = UINT64_MAX, random_state = 88172645463325252ull;
static double latency_sum, latency_max, measure_from;
static int stopping, in_flight, block_bytes = 512;
static unsigned char *write_data;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

/* xorshift: fast, and even enough to pick blocks */
static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

static void die(const char *what, const char *why) {
  fprintf(stderr, "load: %s: %s\n", what, why);
  exit(1);
}

static void issue(struct request *request);

static void count(double seconds) {
  unsigned microseconds = seconds * 1e6;
  latencies[microseconds > LATENCY_MICROSECONDS_MAX ? LATENCY_MICROSECONDS_MAX : microseconds]++;
  ended++;
  latency_sum += seconds;
  if (seconds > latency_max) latency_max = seconds;
}

static void done(struct iscsi_context *context, int status, void *task, void *argument) {
  struct request *request = argument;
  int again = status == SCSI_STATUS_BUSY || status == SCSI_STATUS_TASK_SET_FULL;
  if (status != SCSI_STATUS_GOOD && !again) die("a command failed", iscsi_get_error(context));
  if (again) { refused++; issued--; }
  else if (request->issued_at >= measure_from) count(now() - request->issued_at);
  scsi_free_scsi_task(task);
  in_flight--;
  if (!stopping) issue(request);
}

static void issue(struct request *request) {
  struct session *session = request->session;
  struct iscsi_context *context = session->context;
  uint64_t blocks = options.bytes / block_bytes, places = span_blocks / blocks;
  if (options.ops_max && issued >= options.ops_max) return;
  uint64_t lba = (options.random ? next_random() : session->next++) % places * blocks;
  int write = options.write_percent == 100 || (options.write_percent && (int)(next_random() % 100) < options.write_percent);
  struct scsi_task *task;
  request->issued_at = now();
  if (write) {
    task = iscsi_write10_task(context, session->lun, lba, write_data, options.bytes, block_bytes, 0, 0, options.fua, 0, 0, done, request);
  } else {
    task = iscsi_read10_task(context, session->lun, lba, options.bytes, block_bytes, 0, 0, 0, 0, 0, done, request);
    if (task) scsi_task_add_data_in_buffer(task, options.bytes, request->data);
  }
  if (!task) die("a command could not be issued", iscsi_get_error(context));
  in_flight++;
  issued++;
}

static double percentile(double share) {
  uint64_t sum = 0;
  for (int i = 0; i <= LATENCY_MICROSECONDS_MAX; i++) if ((sum += latencies[i]) && sum >= ended * share) return i + .5;
  return 0;
}

/* READ CAPACITY(16), else (10): blocks of the unit. Sets block_bytes. */
static uint64_t read_capacity(struct session *session) {
  struct scsi_task *task = iscsi_readcapacity16_sync(session->context, session->lun);
  uint64_t blocks = 0;
  if (task && task->status == SCSI_STATUS_GOOD) {
    struct scsi_readcapacity16 *capacity = scsi_datain_unmarshall(task);
    if (capacity) { blocks = capacity->returned_lba + 1; block_bytes = capacity->block_length; }
  } else {
    if (task) scsi_free_scsi_task(task);
    task = iscsi_readcapacity10_sync(session->context, session->lun, 0, 0);
    if (!task || task->status != SCSI_STATUS_GOOD) die("READ CAPACITY", iscsi_get_error(session->context));
    struct scsi_readcapacity10 *capacity = scsi_datain_unmarshall(task);
    if (capacity) { blocks = (uint64_t)capacity->lba + 1; block_bytes = capacity->block_size; }
  }
  scsi_free_scsi_task(task);
  if (blocks == 0) die("READ CAPACITY", "no capacity in the answer");
  return blocks;
}

static void log_in(struct session *session, int number, const char *text) {
  char name[64];
  snprintf(name, sizeof name, "iqn.2026-11.io.varray.bench:load-%d-%d", getpid(), number);
  session->context = iscsi_create_context(name);
  struct iscsi_url *url = iscsi_parse_full_url(session->context, text);
  if (!url) die("URL", iscsi_get_error(session->context));
  iscsi_set_session_type(session->context, ISCSI_SESSION_NORMAL);
  iscsi_set_header_digest(session->context, ISCSI_HEADER_DIGEST_NONE);
  iscsi_set_noautoreconnect(session->context, 1);
  if (iscsi_set_targetname(session->context, url->target) || iscsi_full_connect_sync(session->context, url->portal, url->lun))
    die("login", iscsi_get_error(session->context));
  session->lun = url->lun;
  iscsi_destroy_url(url);
  uint64_t blocks = read_capacity(session);
  if (blocks < span_blocks) span_blocks = blocks;
}

static void parse_mode(void) {
  const char *kind = options.mode + (options.random = !strncmp(options.mode, "rand", 4), options.random ? 4 : 3);
  if (!options.random && strncmp(options.mode, "seq", 3)) die("mode", options.mode);
  if (!strcmp(kind, "read")) options.write_percent = 0;
  else if (!strcmp(kind, "write")) options.write_percent = 100;
  else if (!strncmp(kind, "mix", 3) && atoi(kind + 3) > 0 && atoi(kind + 3) < 100) options.write_percent = atoi(kind + 3);
  else die("mode", options.mode);
}

static void parse_options(int argc, char **argv) {
  for (int option; (option = getopt(argc, argv, "m:b:q:t:w:n:S:s:p:f")) > 0;) switch (option) {
    case 'm': options.mode = optarg; break;
    case 'b': options.bytes = atoi(optarg); break;
    case 'q': options.depth = atoi(optarg); break;
    case 't': options.seconds = atof(optarg); break;
    case 'w': options.warm_seconds = atof(optarg); break;
    case 'n': options.ops_max = strtoull(optarg, NULL, 10); break;
    case 'S': options.span_mebibytes = atof(optarg); break;
    case 's': options.sessions = atoi(optarg); break;
    case 'p': options.pids = optarg; break;
    case 'f': options.fua = FUA; break;
    default: die("usage", "see the head of load.c");
  }
  int urls = argc - optind;
  if (urls < 1 || options.bytes < 512 || options.depth < 1) die("usage", "see the head of load.c");
  if (options.sessions < 1) options.sessions = urls;
  if (options.sessions > options.depth) options.sessions = options.depth;
  if (options.sessions > SESSIONS_MAX) options.sessions = SESSIONS_MAX;
  parse_mode();
}

static void print_result(double seconds, double own_cpu, double machine_cpu) {
  printf("{\"mode\":\"%s\",\"bytes\":%d,\"depth\":%d,\"sessions\":%d,\"fua\":%s,\"seconds\":%.6f,\"ops\":%llu,\"refused\":%llu,"
         "\"iops\":%.1f,\"bytesPerSecond\":%.0f,\"meanMicroseconds\":%.2f,\"p50Microseconds\":%.1f,\"p99Microseconds\":%.1f,"
         "\"p999Microseconds\":%.1f,\"maxMicroseconds\":%.1f,\"clientCpuSeconds\":%.6f,\"machineCpuSeconds\":%.3f",
         options.mode, options.bytes, options.depth, options.sessions, options.fua ? "true" : "false", seconds,
         (unsigned long long)ended, (unsigned long long)refused, ended / seconds, ended / seconds * options.bytes,
         latency_sum / ended * 1e6, percentile(.5), percentile(.99), percentile(.999), latency_max * 1e6, own_cpu, machine_cpu);
  print_usage_between(stdout, &usage_before, &usage_after);
  printf("}\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  parse_options(argc, argv);
  random_state ^= getpid() * 2654435761ull;
  int urls = argc - optind;
  for (int i = 0; i < options.sessions; i++) log_in(&sessions[i], i, argv[optind + i % urls]);
  if (options.span_mebibytes > 0 && options.span_mebibytes * 1048576 / block_bytes < span_blocks)
    span_blocks = options.span_mebibytes * 1048576 / block_bytes;
  if (options.bytes % block_bytes || span_blocks < (uint64_t)options.bytes / block_bytes) die("span", "the I/O does not fit the unit");
  for (int i = 0; i < options.sessions; i++)
    sessions[i].next = span_blocks / (options.bytes / block_bytes) * i / options.sessions;
  write_data = malloc(options.bytes);
  for (int i = 0; i < options.bytes; i++) write_data[i] = next_random();

  double own_cpu = 0, machine_cpu = 0, begin = 0;
  int measuring = 0;
  measure_from = 1e18;
  double warm_until = now() + (options.ops_max ? 0 : options.warm_seconds);
  struct pollfd polled[SESSIONS_MAX];
  struct request *requests = calloc(options.depth, sizeof *requests);
  for (int i = 0; i < options.depth; i++) {
    requests[i].session = &sessions[i % options.sessions];
    requests[i].data = malloc(options.bytes);
    memset(requests[i].data, 0, options.bytes);
  }
  for (int first = 1;; first = 0) {
    if (!measuring && now() >= warm_until) {
      take_usage(options.pids, &usage_before);
      own_cpu = own_cpu_seconds();
      machine_cpu = machine_cpu_seconds();
      measuring = 1;
      begin = measure_from = now();
    }
    if (first) for (int i = 0; i < options.depth; i++) issue(&requests[i]);
    for (int i = 0; i < options.sessions; i++) {
      polled[i].fd = iscsi_get_fd(sessions[i].context);
      polled[i].events = iscsi_which_events(sessions[i].context);
    }
    int ready = poll(polled, options.sessions, ANSWER_MILLISECONDS_MAX);
    if (ready < 0) die("poll", "failed");
    if (ready == 0 && in_flight) die("the unit", "no answer for 15 s");
    for (int i = 0; i < options.sessions; i++) {
      if (polled[i].revents && iscsi_service(sessions[i].context, polled[i].revents) < 0)
        die("session", iscsi_get_error(sessions[i].context));
    }
    double time = now();
    if (!stopping && measuring && (options.ops_max ? in_flight == 0 : time >= begin + options.seconds)) {
      stopping = 1;
      double own = own_cpu_seconds() - own_cpu, machine = machine_cpu_seconds() - machine_cpu;
      take_usage(options.pids, &usage_after);
      if (!ended) die("result", "no command ended in the measured time");
      print_result(time - begin, own, machine);
      measure_from = 1e18;
    }
    if (stopping && (!in_flight || time > begin + options.seconds + DRAIN_SECONDS_MAX)) break;
  }
  for (int i = 0; i < options.sessions; i++) iscsi_logout_sync(sessions[i].context);
  return 0;
}
