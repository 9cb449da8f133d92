/* Count for one target until standard input ends, and print what was counted as JSON, one line for each occasion.
 *
 *     reader ebpf|perf --pid PID [--pid PID]... [--net PID] [--interval-ms 1000]
 *
 * The first line is {"ready": RUNG, "at_s": ..., "missing": {...}}; what happens after it is counted, what ended before
 * it is not. Every further line holds all counts since then: each interval ("why": "interval"), on the line `read`
 * ("asked"), and at the CLOCK_MONOTONIC second S of a line `at S` ("mark", with "due_s": S). Where counting cannot
 * begin, one line on standard error says why, and the exit code is 3; 2 for arguments that make no sense.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rung.h"

enum { OK = 0, BAD_ARGUMENTS = 2, REFUSED = 3, BROKEN = 4 };
#define MOST_MARKS 64

static double marks_s[MOST_MARKS];
static int marks_count;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

ino_t namespace_of(pid_t pid, const char *kind, char *why, size_t why_size)
{
    char path[64];
    struct stat found;
    snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
    if (stat(path, &found) == 0)
        return found.st_ino;
    snprintf(why, why_size, "%s: %s", path, strerror(errno));
    return 0;
}

static int print_counts(const struct rung *rung, const char *why, double due_s)
{
    char wrong[256] = "";
    struct json json = {.out = stdout};
    json_open(&json, NULL);
    json_seconds(&json, "at_s", now_s());
    json_text(&json, "why", why);
    if (due_s > 0)
        json_seconds(&json, "due_s", due_s);
    if (rung->write_counts(&json, wrong, sizeof wrong) != 0) {
        fprintf(stderr, "reader: %s\n", wrong);
        return -1;
    }
    json_close(&json);
    putchar('\n');
    return fflush(stdout);
}

/* Take one line of standard input. Returns 0, or -1 when counts could not be printed. */
static int obey(const struct rung *rung, char *line)
{
    char *end;
    if (strcmp(line, "read") == 0)
        return print_counts(rung, "asked", 0);
    double at_s = strncmp(line, "at ", 3) == 0 ? strtod(line + 3, &end) : 0;
    if (at_s > 0 && isfinite(at_s) && *end == '\0' && marks_count < MOST_MARKS) {
        marks_s[marks_count++] = at_s;
        return 0;
    }
    fprintf(stderr, "reader: expected 'read' or 'at SECONDS' (at most %d of them), saw '%.80s'\n", MOST_MARKS, line);
    return 0;
}

/* Obey every whole line that has come. Returns 1 at the end of input, -1 when counts could not be printed, else 0. */
static int take_input(const struct rung *rung)
{
    static char buffer[4096];
    static size_t used;
    ssize_t got = read(STDIN_FILENO, buffer + used, sizeof buffer - used);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
        return 1;
    used += got > 0 ? (size_t)got : 0;
    char *line = buffer, *end;
    while ((end = memchr(line, '\n', used - (size_t)(line - buffer)))) {
        *end = '\0';
        if (obey(rung, line) != 0)
            return -1;
        line = end + 1;
    }
    used -= (size_t)(line - buffer);
    memmove(buffer, line, used);
    if (used == sizeof buffer)
        used = 0; /* a line that never ends is no order */
    return 0;
}

/* Print for the marks that are due, the earliest first. Returns 0 or -1. */
static int print_due_marks(const struct rung *rung, double at_s)
{
    for (;;) {
        int first = -1;
        for (int i = 0; i < marks_count; i++)
            if (marks_s[i] <= at_s && (first < 0 || marks_s[i] < marks_s[first]))
                first = i;
        if (first < 0)
            return 0;
        double due_s = marks_s[first];
        marks_s[first] = marks_s[--marks_count];
        if (print_counts(rung, "mark", due_s) != 0)
            return -1;
    }
}

static int count_until_told(const struct rung *rung, double interval_s)
{
    double next_s = now_s() + interval_s;
    for (;;) {
        double wait_until_s = next_s;
        for (int i = 0; i < marks_count; i++)
            wait_until_s = fmin(wait_until_s, marks_s[i]);
        double wait_s = fmax(0, wait_until_s - now_s());
        struct timespec wait = {.tv_sec = (time_t)wait_s, .tv_nsec = (long)((wait_s - floor(wait_s)) * 1e9)};
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        int ready = ppoll(&input, 1, &wait, NULL);
        if (ready < 0 && errno != EINTR)
            return BROKEN;
        double at_s = now_s();
        if (print_due_marks(rung, at_s) != 0)
            return BROKEN;
        if (at_s >= next_s) {
            if (print_counts(rung, "interval", 0) != 0)
                return BROKEN;
            next_s = fmax(next_s + interval_s, at_s);
        }
        if (ready > 0) {
            int told = take_input(rung);
            if (told != 0)
                return told > 0 ? OK : BROKEN;
        }
    }
}

static int complain(const char *what, const char *seen)
{
    fprintf(stderr,
            "reader: %s, saw '%s'; write: reader ebpf|perf --pid PID [--pid PID]... [--net PID] [--interval-ms N]\n",
            what, seen);
    return BAD_ARGUMENTS;
}

static long number(const char *text, long most)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno || *end || end == text || value < 1 || value > most ? -1 : value;
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"pid", required_argument, NULL, 'p'},
        {"net", required_argument, NULL, 'n'},
        {"interval-ms", required_argument, NULL, 'i'},
        {0},
    };
    struct target target = {0};
    double interval_s = 1.0;
    int option;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        long value = option == '?' ? -1 : number(optarg, option == 'i' ? 3600000 : 1 << 22);
        if (value < 0)
            return complain("expected a whole number above 0", option == '?' ? "an unknown option" : optarg);
        if (option == 'i')
            interval_s = (double)value / 1000;
        else if (option == 'n')
            target.net_pid = (pid_t)value;
        else if (target.pids_count < MOST_PIDS)
            target.pids[target.pids_count++] = (pid_t)value;
        else
            return complain("expected at most 64 pids", optarg);
    }
    if (optind != argc - 1 || target.pids_count == 0)
        return complain("expected one rung and at least one pid", optind < argc ? argv[optind] : "nothing");
    const struct rung *rung = strcmp(argv[optind], EBPF_RUNG.name) == 0   ? &EBPF_RUNG
                              : strcmp(argv[optind], PERF_RUNG.name) == 0 ? &PERF_RUNG
                                                                          : NULL;
    if (!rung)
        return complain("expected ebpf or perf", argv[optind]);

    char why[512] = "";
    struct json json = {.out = stdout};
    json_open(&json, NULL);
    json_text(&json, "ready", rung->name);
    json_open(&json, "missing");
    if (rung->begin(&target, &json, why, sizeof why) != 0) {
        fprintf(stderr, "reader: %s\n", why);
        _exit(REFUSED); /* the half of a line in stdout's buffer is not printed */
    }
    json_close(&json);
    json_seconds(&json, "at_s", now_s());
    json_close(&json);
    putchar('\n');
    if (fflush(stdout) != 0)
        return BROKEN;
    int code = count_until_told(rung, interval_s);
    rung->end();
    return code;
}
