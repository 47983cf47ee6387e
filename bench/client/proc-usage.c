#include "proc-usage.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Reads a small file of /proc whole; returns 0 when it can't be. */
static int read_small(const char *path, char *text, size_t bytes) {
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  size_t got = fread(text, 1, bytes - 1, file);
  fclose(file);
  text[got] = 0;
  return got > 0;
}

static unsigned long long field(const char *text, const char *name) {
  const char *at = strstr(text, name);
  return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static double thread_cpu_seconds(int pid, int tid) {
  char path[96], text[1024];
  snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", pid, tid);
  if (read_small(path, text, sizeof text)) return strtoull(text, NULL, 10) * 1e-9;
  snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
  if (!read_small(path, text, sizeof text)) return 0;
  unsigned long user = 0, system = 0;
  const char *after_name = strrchr(text, ')');
  if (!after_name || sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) return 0;
  return (user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void take_thread(int pid, int tid, struct thread_usage *thread) {
  char path[96], text[2048];
  memset(thread, 0, sizeof *thread);
  thread->pid = pid;
  thread->tid = tid;
  snprintf(path, sizeof path, "/proc/%d/task/%d/comm", pid, tid);
  if (read_small(path, text, sizeof thread->name)) {
    for (char *c = text; *c; c++) if (*c < ' ' || *c == '"' || *c == '\\') *c = *c == '\n' ? 0 : '?';
    snprintf(thread->name, sizeof thread->name, "%.31s", text);
  }
  thread->cpu_seconds = thread_cpu_seconds(pid, tid);
  snprintf(path, sizeof path, "/proc/%d/task/%d/io", pid, tid);
  if (read_small(path, text, sizeof text)) {
    thread->read_bytes = field(text, "rchar: ");
    thread->write_bytes = field(text, "wchar: ");
    thread->read_calls = field(text, "syscr: ");
    thread->write_calls = field(text, "syscw: ");
  }
  snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, tid);
  if (read_small(path, text, sizeof text)) {
    thread->voluntary_switches = field(text, "\nvoluntary_ctxt_switches:");
    thread->involuntary_switches = field(text, "\nnonvoluntary_ctxt_switches:");
  }
}

static void take_process(int pid, struct usage *usage) {
  char path[96], text[2048];
  if (usage->process_count == USAGE_PROCESSES_MAX) return;
  struct process_usage *process = &usage->processes[usage->process_count++];
  memset(process, 0, sizeof *process);
  process->pid = pid;
  snprintf(path, sizeof path, "/proc/%d/io", pid);
  if (read_small(path, text, sizeof text)) {
    process->disk_read_bytes = field(text, "\nread_bytes: ");
    process->disk_write_bytes = field(text, "\nwrite_bytes: ");
  }
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *folder = opendir(path);
  if (!folder) return;
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (entry->d_name[0] == '.' || usage->thread_count == USAGE_THREADS_MAX) continue;
    take_thread(pid, atoi(entry->d_name), &usage->threads[usage->thread_count++]);
  }
  closedir(folder);
}

void take_usage(const char *list, struct usage *usage) {
  usage->thread_count = usage->process_count = 0;
  for (const char *at = list; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : "") take_process(atoi(at), usage);
}

void print_usage_between(FILE *out, const struct usage *before, const struct usage *after) {
  static const struct thread_usage none;
  fprintf(out, ",\"threads\":[");
  for (int i = 0; i < after->thread_count; i++) {
    const struct thread_usage *now = &after->threads[i], *then = &none;
    for (int j = 0; j < before->thread_count; j++) {
      if (before->threads[j].pid == now->pid && before->threads[j].tid == now->tid) then = &before->threads[j];
    }
    fprintf(out,
            "%s{\"pid\":%d,\"tid\":%d,\"name\":\"%s\",\"cpuSeconds\":%.9f,\"readCalls\":%llu,\"writeCalls\":%llu,"
            "\"readBytes\":%llu,\"writeBytes\":%llu,\"voluntarySwitches\":%llu,\"involuntarySwitches\":%llu}",
            i ? "," : "", now->pid, now->tid, now->name, now->cpu_seconds - then->cpu_seconds,
            now->read_calls - then->read_calls, now->write_calls - then->write_calls, now->read_bytes - then->read_bytes,
            now->write_bytes - then->write_bytes, now->voluntary_switches - then->voluntary_switches,
            now->involuntary_switches - then->involuntary_switches);
  }
  fprintf(out, "],\"processes\":[");
  for (int i = 0; i < after->process_count && i < before->process_count; i++) {
    const struct process_usage *now = &after->processes[i], *then = &before->processes[i];
    fprintf(out, "%s{\"pid\":%d,\"diskReadBytes\":%llu,\"diskWriteBytes\":%llu}", i ? "," : "", now->pid,
            now->disk_read_bytes - then->disk_read_bytes, now->disk_write_bytes - then->disk_write_bytes);
  }
  fprintf(out, "]");
}

double own_cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

double machine_cpu_seconds(void) {
  /* user nice system idle iowait irq softirq steal */
  unsigned long ticks[8] = {0}, busy = 0;
  FILE *file = fopen("/proc/stat", "r");
  if (!file) return 0;
  int got = fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", ticks, ticks + 1, ticks + 2, ticks + 3, ticks + 4, ticks + 5,
                   ticks + 6, ticks + 7);
  fclose(file);
  for (int i = 0; i < got; i++) if (i != 3 && i != 4) busy += ticks[i];
  return busy / (double)sysconf(_SC_CLK_TCK);
}
