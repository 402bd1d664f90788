/* Counts the operations that change files below one folder, and makes one of them fail.

Loaded with LD_PRELOAD. It does nothing until `attach` is called with a control file, or a process starts with the path
of one in the environment variable FAULTS_CONTROL: so the processes that a command starts are counted, too. The counter lives in
the control file, mapped by all of them. interposer.py writes that file; its layout must match `struct control`.

A buffered stream (FILE) is flushed at each fwrite, so that its writes are seen. A small one that fails does so as it
would without that: fwrite succeeds and fclose fails. trials.py checks that all bytes of all files were seen. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH 4096
enum mode { COUNT, KILL, FAIL, FAIL_ON, HALF, PAUSE };

struct control {
    atomic_ulong place;   /* of the last operation, over all processes: see next_place */
    atomic_ulong fired;   /* operations from the target on: above 0 if it was hit */
    unsigned long target; /* place of the operation to hit; 0: none. If it does not come, the next one is hit. */
    unsigned long mode;
    unsigned long error;  /* errno of FAIL (once) and FAIL_ON (also of all that need room afterwards) */
    unsigned long reads;  /* 1: log, as "read", files whose content is used: opened and kept, renamed or linked */
    char root[PATH];      /* absolute, without a slash at the end */
    char log[PATH];
};

static struct control *control;

void attach(const char *path) {
    int file = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    syscall(SYS_close, file);
    if (mapped != MAP_FAILED) control = mapped;
}

__attribute__((constructor)) static void attach_to_parent(void) {
    const char *path = getenv("FAULTS_CONTROL");
    if (path) attach(path);
}

/* ---- where an operation takes place ---- */

static int below_root(const char *path) {
    size_t length = strlen(control->root);
    return strncmp(path, control->root, length) == 0 && path[length] == '/';
}

static const char *relative(const char *path) { return below_root(path) ? path + strlen(control->root) + 1 : path; }

static int path_of_file(int file, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, out, PATH - 1);
    if (length < 0) return 0;
    out[length] = 0;
    return 1;
}

static int absolute(int folder, const char *path, char *out) {
    if (!path) return 0;
    if (path[0] == '/') return snprintf(out, PATH, "%s", path) < PATH;
    char place[PATH];
    if (folder == AT_FDCWD ? !getcwd(place, PATH) : !path_of_file(folder, place)) return 0;
    while (strncmp(path, "./", 2) == 0) path += 2;
    return snprintf(out, 2 * PATH, "%s/%s", place, path) < PATH;
}

/* ---- counting and failing ---- */

static void write_log(unsigned long number, const char *name, const char *path, const char *other, size_t bytes) {
    static __thread char line[3 * PATH];
    int length = snprintf(line, sizeof line, "%lu\t%s\t%zu\t%s\t%s\n", number, name, bytes, relative(path),
                          other ? relative(other) : "");
    int file = syscall(SYS_openat, AT_FDCWD, control->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) return;
    syscall(SYS_write, file, line, length);
    syscall(SYS_close, file);
}

/* A command that starts torchrun has several process groups: its own, and one for each worker. */
static void end_all(void) {
    const char *leader = getenv("FAULTS_LEADER");
    if (leader) kill(-atoi(leader), SIGKILL);
    kill(0, SIGKILL);
    for (;;) pause();
}

/* Other operations count as STRIDE, writes since the last one of these as 1: how a file is cut into writes varies. */
#define STRIDE 100000
static unsigned long next_place(size_t is_write) {
    unsigned long last = atomic_load(&control->place), next;
    do next = is_write ? last + 1 : (last / STRIDE + 1) * STRIDE;
    while (!atomic_compare_exchange_weak(&control->place, &last, next));
    return next;
}

enum decision { GO, REFUSE, SHORTEN };

/* Stops the command until its parent has copied the folder: what is in it now is what a kill would leave. */
static void pause_for_copy(void) {
    const char *leader = getenv("FAULTS_LEADER");
    if (leader && atoi(leader) == getpid()) kill(getpid(), SIGSTOP);
}

/* Counts an operation and returns what to do; errno is set if it is refused. */
static enum decision decide(const char *name, const char *path, const char *other, size_t bytes, int needs_room) {
    unsigned long place = next_place(strcmp(name, "write") == 0);
    write_log(place, name, path, other, bytes);
    if (control->mode == PAUSE) {
        pause_for_copy();
        return bytes > 1 ? SHORTEN : GO;
    }
    if (control->target == 0 || place < control->target) return GO;
    if (atomic_fetch_add(&control->fired, 1) > 0) {
        if (control->mode != FAIL_ON || !needs_room) return GO;
        errno = control->error;
        return REFUSE;
    }
    if (control->mode == KILL || (control->mode == HALF && bytes < 2)) end_all();
    if (control->mode == HALF || (control->mode == FAIL_ON && bytes > 1)) return SHORTEN;
    errno = control->error;
    return REFUSE;
}

static enum decision at_path(const char *name, int folder, const char *path, const char *other, int needs_room) {
    char place[2 * PATH];
    int saved = errno;
    int counts = control && absolute(folder, path, place) && (below_root(place) || (other && below_root(other)));
    errno = saved;
    if (!counts) return GO;
    return decide(name, place, other, 0, needs_room);
}

static enum decision at_file(const char *name, int file, size_t bytes, int needs_room) {
    char place[2 * PATH];
    int saved = errno;
    int counts = control && path_of_file(file, place) && below_root(place);
    errno = saved;
    if (!counts) return GO;
    return decide(name, place, NULL, bytes, needs_room);
}

#define NEXT(name) ({ static __typeof__(name) *next; if (!next) next = dlsym(RTLD_NEXT, #name); next; })

/* ---- opening ---- */

static void note_read(int folder, const char *path) {
    char place[2 * PATH];
    int saved = errno;
    if (control && control->reads && absolute(folder, path, place) && below_root(place))
        write_log(0, "read", place, NULL, 0);
    errno = saved;
}

static enum decision opening(int folder, const char *path, int flags) {
    if (!(flags & (O_TRUNC | O_EXCL | O_DIRECTORY))) note_read(folder, path);
    if ((flags & O_ACCMODE) == O_RDONLY && !(flags & (O_CREAT | O_TRUNC))) return GO;
    int creates = (flags & O_CREAT) && faccessat(folder, path, F_OK, 0) != 0;
    return at_path("open", folder, path, NULL, creates);
}

#define MODE_OF(flags) ({ \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); } \
    mode; })

int open(const char *path, int flags, ...) {
    mode_t mode = MODE_OF(flags);
    return opening(AT_FDCWD, path, flags) ? -1 : NEXT(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    mode_t mode = MODE_OF(flags);
    return opening(AT_FDCWD, path, flags) ? -1 : NEXT(open64)(path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    mode_t mode = MODE_OF(flags);
    return opening(folder, path, flags) ? -1 : NEXT(openat)(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    mode_t mode = MODE_OF(flags);
    return opening(folder, path, flags) ? -1 : NEXT(openat64)(folder, path, flags, mode);
}
int creat(const char *path, mode_t mode) { return open(path, O_WRONLY | O_CREAT | O_TRUNC, mode); }

static int flags_of(const char *mode) {
    return mode[0] == 'r' && !strchr(mode, '+') ? O_RDONLY : mode[0] == 'r' ? O_RDWR
           : mode[0] == 'w'                            ? O_WRONLY | O_CREAT | O_TRUNC
                                                       : O_WRONLY | O_CREAT;
}
FILE *fopen(const char *path, const char *mode) {
    return opening(AT_FDCWD, path, flags_of(mode)) ? NULL : NEXT(fopen)(path, mode);
}
FILE *fopen64(const char *path, const char *mode) {
    return opening(AT_FDCWD, path, flags_of(mode)) ? NULL : NEXT(fopen64)(path, mode);
}

/* ---- writing ---- */

/* After half of a write: ends the command, or lets the folder be copied and returns 1 if the other half must follow. */
static int other_half_follows(void) {
    if (control->mode == HALF) end_all();
    if (control->mode != PAUSE) return 0;
    pause_for_copy();
    return 1;
}
/* The sum of two halves of a write; an error of the second one is that of the whole. */
static ssize_t sum(ssize_t first, ssize_t second) { return second < 0 ? second : first + second; }

ssize_t write(int file, const void *bytes, size_t size) {
    switch (at_file("write", file, size, 1)) {
        case REFUSE: return -1;
        case SHORTEN: {
            ssize_t done = NEXT(write)(file, bytes, size / 2);
            if (done < 0 || !other_half_follows()) return done;
            return sum(done, NEXT(write)(file, (const char *)bytes + done, size - done));
        }
        default: return NEXT(write)(file, bytes, size);
    }
}
#define POSITIONED(name, type) \
    ssize_t name(int file, const void *bytes, size_t size, type place) { \
        switch (at_file("write", file, size, 1)) { \
            case REFUSE: return -1; \
            case SHORTEN: { \
                ssize_t done = NEXT(name)(file, bytes, size / 2, place); \
                if (done < 0 || !other_half_follows()) return done; \
                return sum(done, NEXT(name)(file, (const char *)bytes + done, size - done, place + done)); \
            } \
            default: return NEXT(name)(file, bytes, size, place); \
        } \
    }
POSITIONED(pwrite, off_t)
POSITIONED(pwrite64, off64_t)

static size_t total(const struct iovec *parts, int count) {
    size_t sum = 0;
    for (int i = 0; i < count; i++) sum += parts[i].iov_len;
    return sum;
}
/* Writes the bytes from `start` to `end` of several parts. */
static ssize_t write_range(int file, const struct iovec *parts, int count, size_t start, size_t end) {
    ssize_t written = 0;
    for (int i = 0; i < count && end > 0; i++) {
        size_t size = parts[i].iov_len, from = start < size ? start : size, to = end < size ? end : size;
        if (to > from) {
            ssize_t done = NEXT(write)(file, (const char *)parts[i].iov_base + from, to - from);
            if (done < 0) return written ? written : done;
            written += done;
        }
        start -= from;
        end -= to;
    }
    return written;
}
ssize_t writev(int file, const struct iovec *parts, int count) {
    switch (at_file("write", file, total(parts, count), 1)) {
        case REFUSE: return -1;
        case SHORTEN: {
            size_t whole = total(parts, count);
            ssize_t done = write_range(file, parts, count, 0, whole / 2);
            if (done < 0 || !other_half_follows()) return done;
            return sum(done, write_range(file, parts, count, done, whole));
        }
        default: return NEXT(writev)(file, parts, count);
    }
}
ssize_t sendfile(int to, int from, off_t *place, size_t size) {
    switch (at_file("write", to, size, 1)) {
        case REFUSE: return -1;
        case SHORTEN: {
            ssize_t done = NEXT(sendfile)(to, from, place, size / 2);
            if (done < 0 || !other_half_follows()) return done;
            return sum(done, NEXT(sendfile)(to, from, place, size - done));
        }
        default: return NEXT(sendfile)(to, from, place, size);
    }
}
ssize_t sendfile64(int to, int from, off64_t *place, size_t size) { return sendfile(to, from, place, size); }
ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *place, size_t size, unsigned flags) {
    switch (at_file("write", to, size, 1)) {
        case REFUSE: return -1;
        case SHORTEN: {
            ssize_t done = NEXT(copy_file_range)(from, start, to, place, size / 2, flags);
            if (done < 0 || !other_half_follows()) return done;
            return sum(done, NEXT(copy_file_range)(from, start, to, place, size - done, flags));
        }
        default: return NEXT(copy_file_range)(from, start, to, place, size, flags);
    }
}

/* ---- buffered streams, which numpy writes arrays to ---- */

#define STREAMS 16
static FILE *failed[STREAMS]; /* of which a buffered write failed: what fflush and fclose will report */

static void note_failed(FILE *stream) {
    for (int i = 0; i < STREAMS; i++)
        if (!failed[i] || failed[i] == stream) {
            failed[i] = stream;
            return;
        }
}
static int has_failed(FILE *stream, int forget) {
    for (int i = 0; i < STREAMS; i++)
        if (stream && failed[i] == stream) {
            if (forget) failed[i] = NULL;
            errno = control->error;
            return 1;
        }
    return 0;
}

size_t fwrite(const void *bytes, size_t size, size_t count, FILE *stream) {
    size_t whole = size * count;
    enum decision decision = control ? at_file("write", fileno(stream), whole, 1) : GO;
    if (decision == GO) {
        size_t done = NEXT(fwrite)(bytes, size, count, stream);
        if (control) NEXT(fflush)(stream);
        return done;
    }
    if (decision == SHORTEN) {
        size_t half = NEXT(fwrite)(bytes, 1, whole / 2, stream);
        NEXT(fflush)(stream);
        if (other_half_follows()) {
            size_t rest = NEXT(fwrite)((const char *)bytes + half, 1, whole - half, stream);
            NEXT(fflush)(stream);
            return (half + rest) / size;
        }
    }
    if (whole >= BUFSIZ) return 0;
    note_failed(stream);
    return count;
}
int fflush(FILE *stream) { return has_failed(stream, 0) ? EOF : NEXT(fflush)(stream); }
int fclose(FILE *stream) {
    if (!has_failed(stream, 1)) return NEXT(fclose)(stream);
    NEXT(fclose)(stream);
    errno = control->error;
    return EOF;
}

/* ---- all other changes: done or not ---- */

#define ON_FILE(name, label, room, parameters, arguments) \
    int name parameters { return at_file(label, file, 0, room) ? -1 : NEXT(name) arguments; }
#define ON_PATH(name, label, folder, path, other, room, parameters, arguments) \
    int name parameters { return at_path(label, folder, path, other, room) ? -1 : NEXT(name) arguments; }

/* Threads flush checkpoints in the background, at another moment of each run: those are left out, or numbers would vary.
   A kill there is one between two other operations, and an error is ignored: `sync_meanwhile` in clsnorm/files.py. */
static int in_background(void) { return syscall(SYS_gettid) != getpid(); }

int fsync(int file) { return !in_background() && at_file("fsync", file, 0, 0) ? -1 : NEXT(fsync)(file); }
int fdatasync(int file) { return !in_background() && at_file("fsync", file, 0, 0) ? -1 : NEXT(fdatasync)(file); }
ON_FILE(ftruncate, "truncate", 0, (int file, off_t size), (file, size))
ON_FILE(ftruncate64, "truncate", 0, (int file, off64_t size), (file, size))
ON_PATH(truncate, "truncate", AT_FDCWD, path, NULL, 0, (const char *path, off_t size), (path, size))
ON_PATH(mkdir, "mkdir", AT_FDCWD, path, NULL, 1, (const char *path, mode_t mode), (path, mode))
ON_PATH(mkdirat, "mkdir", folder, path, NULL, 1, (int folder, const char *path, mode_t mode), (folder, path, mode))
ON_PATH(rmdir, "rmdir", AT_FDCWD, path, NULL, 0, (const char *path), (path))
ON_PATH(unlink, "unlink", AT_FDCWD, path, NULL, 0, (const char *path), (path))
ON_PATH(unlinkat, flags & AT_REMOVEDIR ? "rmdir" : "unlink", folder, path, NULL, 0,
        (int folder, const char *path, int flags), (folder, path, flags))
ON_PATH(remove, "unlink", AT_FDCWD, path, NULL, 0, (const char *path), (path))

static enum decision renaming(const char *name, int from_folder, const char *from, int to_folder, const char *to) {
    char other[2 * PATH];
    if (!control || !absolute(to_folder, to, other)) return GO;
    note_read(from_folder, from);
    return at_path(name, from_folder, from, other, 0);
}
int rename(const char *from, const char *to) {
    return renaming("rename", AT_FDCWD, from, AT_FDCWD, to) ? -1 : NEXT(rename)(from, to);
}
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return renaming("rename", from_folder, from, to_folder, to) ? -1 : NEXT(renameat)(from_folder, from, to_folder, to);
}
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    return renaming("rename", from_folder, from, to_folder, to) ? -1
           : NEXT(renameat2)(from_folder, from, to_folder, to, flags);
}
int link(const char *from, const char *to) {
    note_read(AT_FDCWD, from);
    return at_path("link", AT_FDCWD, to, NULL, 1) ? -1 : NEXT(link)(from, to);
}
int symlink(const char *from, const char *to) {
    return at_path("link", AT_FDCWD, to, NULL, 1) ? -1 : NEXT(symlink)(from, to);
}
