/*
 * Delays every fsync and fdatasync of the process that this library is preloaded into. The delay in milliseconds is read
 * from the file named like the process id in the directory SLOW_FSYNC_DIR, anew each time; no file means no delay.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void stall(void) {
  const char *directory = getenv("SLOW_FSYNC_DIR");
  char path[4096], digits[16] = {0};
  if (directory == NULL) return;
  snprintf(path, sizeof path, "%s/%d", directory, (int)getpid());
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  ssize_t count = read(file, digits, sizeof digits - 1);
  close(file);
  long ms = count > 0 ? atol(digits) : 0;
  if (ms <= 0) return;
  struct timespec rest = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  while (nanosleep(&rest, &rest) != 0) continue;
}

int fsync(int file) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  stall();
  return real(file);
}

int fdatasync(int file) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  stall();
  return real(file);
}
