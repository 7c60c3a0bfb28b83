/* Makes calls to the disk fail, for the tests: LD_PRELOAD it, and name a file by FAULTS.

   While that file exists, each line of it makes one kind of call fail on files whose path holds
   what the line says:

       fsync 5 .journal-wal

   is: fsync and fdatasync fail with error number 5 (EIO). "write" is for pwrite and ftruncate,
   "read" for pread. A dollar sign at the end is the end of the path. Where a line begins with a
   plus sign, "+write 5 .journal", the call is made before it fails. A line that begins with
   "after", "after write 5 .journal", counts as soon as another has made a call fail. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DO_IT = 1 };

static int failed_before;

static int matches(const char *path, char *part)
{
    size_t length = strlen(path), size = strlen(part);
    if (!size || part[size - 1] != '$')
        return strstr(path, part) != NULL;
    part[--size] = 0;
    return length >= size && !strcmp(path + length - size, part);
}

static int fault(int file, const char *call, int *flags)
{
    char link[64], path[4096], text[1024], kind[16], part[256];
    const char *control = getenv("FAULTS");
    int number, length, found = 0, saved = errno;
    *flags = 0;
    if (!control)
        return 0;
    int faults = open(control, O_RDONLY | O_CLOEXEC);
    if (faults < 0) {
        errno = saved;
        return 0;
    }
    length = (int)read(faults, text, sizeof text - 1);
    close(faults);
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (length > 0 && size > 0) {
        text[length] = path[size] = 0;
        for (char *line = strtok(text, "\n"); line && !found; line = strtok(NULL, "\n")) {
            if (!strncmp(line, "after ", 6)) {
                if (!failed_before)
                    continue;
                line += 6;
            }
            int flag = *line == '+';
            if (sscanf(line + flag, "%15s %d %255s", kind, &number, part) == 3
                && !strcmp(kind, call) && matches(path, part)) {
                found = number;
                *flags = flag ? DO_IT : 0;
            }
        }
    }
    failed_before |= found;
    errno = saved;
    return found;
}

#define SHIM(type, name, call, parameters, arguments)                                             \
    type name parameters                                                                          \
    {                                                                                             \
        static type(*real) parameters;                                                            \
        int flags, number = fault(file, call, &flags);                                            \
        if (!real)                                                                                \
            real = (type(*) parameters)dlsym(RTLD_NEXT, #name);                                   \
        if (!number)                                                                              \
            return real arguments;                                                                \
        if (flags & DO_IT)                                                                        \
            (void)!real arguments;                                                                \
        errno = number;                                                                           \
        return -1;                                                                                \
    }

SHIM(int, fsync, "fsync", (int file), (file))
SHIM(int, fdatasync, "fsync", (int file), (file))
SHIM(int, ftruncate, "write", (int file, off_t length), (file, length))
SHIM(int, ftruncate64, "write", (int file, off64_t length), (file, length))
SHIM(ssize_t, write, "write", (int file, const void *data, size_t size), (file, data, size))
SHIM(ssize_t, pwrite, "write", (int file, const void *data, size_t size, off_t offset),
     (file, data, size, offset))
SHIM(ssize_t, pwrite64, "write", (int file, const void *data, size_t size, off64_t offset),
     (file, data, size, offset))
SHIM(ssize_t, pread, "read", (int file, void *data, size_t size, off_t offset),
     (file, data, size, offset))
SHIM(ssize_t, pread64, "read", (int file, void *data, size_t size, off64_t offset),
     (file, data, size, offset))
