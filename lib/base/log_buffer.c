#include "base/log_buffer.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define PIECE_BYTES 4096u /* what a pipe takes at once when it says that it is writable (PIPE_BUF) */
#define KEPT_BYTES (2 * VWI_LOG_TOGETHER_BYTES)

void vwi_log_buffer_init(struct vwi_log_buffer *buffer, int fd)
{
    memset(buffer, 0, sizeof *buffer);
    buffer->fd = fd;
}

void vwi_log_buffer_fini(struct vwi_log_buffer *buffer) { vwi_text_fini(&buffer->lines); }

void vwi_log_buffer_begin(struct vwi_log_buffer *buffer) { buffer->line = buffer->lines.len; }

bool vwi_log_buffer_end(struct vwi_log_buffer *buffer, bool urgent)
{
    size_t most = VWI_LOG_HELD_BYTES + (urgent ? VWI_LOG_URGENT_BYTES : 0);

    if (!buffer->lines.failed && buffer->lines.len - buffer->at <= most)
        return true;
    buffer->lines.failed = false;
    buffer->lines.len = buffer->line;
    if (buffer->lines.p)
        buffer->lines.p[buffer->line] = '\0';
    buffer->dropped++;
    return false;
}

void vwi_log_buffer_stamp(struct vwi_log_buffer *buffer)
{
    double now = vwi_wall_s();
    time_t second = (time_t)now;
    unsigned ms = (unsigned)((now - (double)second) * 1000) % 1000;
    char rest[5] = { '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z' };
    struct tm tm;

    if (second != buffer->stamp_s || !buffer->stamp[0]) {
        gmtime_r(&second, &tm);
        strftime(buffer->stamp, sizeof buffer->stamp, "%Y-%m-%dT%H:%M:%S", &tm);
        buffer->stamp_s = second;
    }
    vwi_text_adds(&buffer->lines, buffer->stamp);
    vwi_text_add(&buffer->lines, rest, sizeof rest);
}

static bool takes(int fd, int wait_ms)
{
    struct pollfd look = { fd, POLLOUT, 0 };
    int n;

    do {
        n = poll(&look, 1, wait_ms);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

static bool is_file(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* Whole lines, so that those of another process never stand within one of ours. */
static size_t next_piece(const struct vwi_log_buffer *buffer, size_t most)
{
    const char *from = buffer->lines.p + buffer->at, *end;
    size_t left = buffer->lines.len - buffer->at;

    if (left <= most)
        return left;
    end = memrchr(from, '\n', most);
    if (end)
        return (size_t)(end + 1 - from);
    return most; /* a line longer than that */
}

static uint64_t count_lines(const char *p, size_t len)
{
    const char *end = p + len;
    uint64_t n = 0;

    while (p < end && (p = memchr(p, '\n', (size_t)(end - p))))
        p++, n++;
    return n;
}

/* Nobody will ever read them: standard error is closed, or its disk is full. */
static void give_up(struct vwi_log_buffer *buffer)
{
    buffer->dropped += count_lines(buffer->lines.p + buffer->at, buffer->lines.len - buffer->at);
    buffer->at = buffer->lines.len;
}

static void forget_written(struct vwi_log_buffer *buffer)
{
    struct vwi_text *lines = &buffer->lines;

    buffer->held = lines->len - buffer->at;
    if (buffer->held && buffer->at)
        memmove(lines->p, lines->p + buffer->at, buffer->held);
    lines->len = buffer->held;
    buffer->at = 0;
    if (!buffer->held && lines->cap > KEPT_BYTES)
        vwi_text_fini(lines);
    else if (lines->p)
        lines->p[lines->len] = '\0';
}

static void write_all(struct vwi_log_buffer *buffer, int wait_ms)
{
    size_t most = is_file(buffer->fd) ? SIZE_MAX : PIECE_BYTES;

    while (buffer->at < buffer->lines.len && takes(buffer->fd, wait_ms)) {
        ssize_t n = write(buffer->fd, buffer->lines.p + buffer->at, next_piece(buffer, most));

        if (n > 0)
            buffer->at += (size_t)n;
        else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        else if (n == 0 || errno != EINTR)
            give_up(buffer);
    }
}

void vwi_log_buffer_flush(struct vwi_log_buffer *buffer, int wait_ms)
{
    if (buffer->at == buffer->lines.len)
        return;
    write_all(buffer, wait_ms);
    forget_written(buffer);
}
