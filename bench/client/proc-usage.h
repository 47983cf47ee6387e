/*
 * What threads of other processes used, out of /proc: CPU, calls that read and write, context switches, disk bytes.
 *
 * Taken by the load client itself, at the moment its measurement begins and ends: a sampler in another process would
 * measure another window, and would take a share of the processor meanwhile.
 */
#ifndef PROC_USAGE_H
#define PROC_USAGE_H

#include <stdio.h>

#define USAGE_THREADS_MAX 512
#define USAGE_PROCESSES_MAX 8

struct thread_usage {
  int pid, tid;
  char name[32];
  double cpu_seconds;                  /* on a processor; to the nanosecond where the kernel has schedstat */
  unsigned long long read_calls, write_calls;   /* read(2) and write(2) and their kin: not epoll, not futex */
  unsigned long long read_bytes, write_bytes;   /* what those calls moved, sockets and page cache included */
  unsigned long long voluntary_switches, involuntary_switches;
};

struct process_usage {
  int pid;
  unsigned long long disk_read_bytes, disk_write_bytes;  /* what reached the block layer, or will */
};

struct usage {
  int thread_count, process_count;
  struct thread_usage threads[USAGE_THREADS_MAX];
  struct process_usage processes[USAGE_PROCESSES_MAX];
};

/* Of the processes in LIST ("123,456"; may be empty). What can't be read counts as 0. */
void take_usage(const char *list, struct usage *usage);

/* Prints ,"threads":[…],"processes":[…] of what was used between two takings. A thread that came in between counts whole. */
void print_usage_between(FILE *out, const struct usage *before, const struct usage *after);

/* CPU seconds of this process. */
double own_cpu_seconds(void);

/* CPU seconds of the whole machine: all that is neither idle nor waiting for I/O. */
double machine_cpu_seconds(void);

#endif
