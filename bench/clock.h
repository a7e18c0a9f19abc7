/* clock.h: the CPU time of a timed workload, and the end of one that fails. */
#ifndef MEMTRACE_BENCH_CLOCK_H
#define MEMTRACE_BENCH_CLOCK_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long need(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

/* User and system time of the process, in nanoseconds. */
static long cpu_ns(void)
{
	struct timespec now;

	need(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), "clock_gettime");
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

#endif
