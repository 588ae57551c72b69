/* A line is formatted whole and written by one call, so lines of two threads never mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

static const char *const names[] = { "error", "warn", "info", "debug" };

static void stamp(char *out, size_t size)
{
    double now = vwi_wall_s();
    time_t sec = (time_t)now;
    struct tm tm;
    size_t n;

    gmtime_r(&sec, &tm);
    n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, size - n, ".%03dZ", (int)((now - (double)sec) * 1000));
}

void vwi_log(const struct vwi_log *log, vw_log_level_t level, const char *fmt, ...)
{
    struct vwi_text line = VWI_TEXT_INIT;
    char message[2048], when[40];
    va_list ap;
    ssize_t ignored;

    if (!log || level > log->level)
        return;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    stamp(when, sizeof when);
    if (log->json) {
        vwi_text_addf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", when, names[level]);
        vwi_text_add_json(&line, message, strlen(message));
        vwi_text_adds(&line, "}");
    } else {
        vwi_text_addf(&line, "%s %-5s %s", when, names[level], message);
    }
    if (!line.failed && log->fn) {
        log->fn(log->arg, level, line.p);
    } else if (!line.failed) {
        vwi_text_adds(&line, "\n");
        ignored = write(STDERR_FILENO, line.p, line.len);
        (void)ignored;
    }
    vwi_text_fini(&line);
}
