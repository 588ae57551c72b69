/*
 * A writer that does at random what writers of logs do, against what it remembers. Every line is numbered and drawn from the seed, so
 * a line that is lost, doubled, out of order or made up is seen. The loop is driven by hand, one turn at a time.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/vwi.h"
#include "io/tail.h"
#include "unit/scratch.h"

#define SEEDS 1000 /* of each kind, over all runs of the loop test */
#define RUNS 10
#define STEPS 60
#define FRESH 8    /* seeds for one file and its reader: to let go of an inotify instance takes the kernel 20 ms */
#define LIMIT_MS 60000 /* only reached when a test fails */
#define LINE_BYTES 400

static struct {
    char dir[64], path[128];
    struct vwi_loop *loop;
    struct vwi_timer limit, turn;
    struct vwi_tail *tail;
    unsigned seed, state; /* of the numbers that are drawn */
    int fd;
    unsigned files, truncations;
    bool may_lose;
    unsigned next;        /* line to be written */
    unsigned first;       /* since the file was begun or truncated */
    size_t done;          /* bytes of it that are written */
    unsigned heard;       /* line that comes next */
    uint64_t seen_truncated; /* when the last line came */
} t;

static unsigned draw(unsigned below)
{
    t.state = t.state * 1664525u + 1013904223u;
    return (t.state >> 8) % below;
}

/* Line n of this seed without its end: its number behind some letters, then any bytes but a newline and a NUL at either end. */
static size_t write_line(unsigned n, char out[LINE_BYTES])
{
    unsigned state = (n + 1) * 2654435761u ^ t.seed * 40503u;
    size_t len, i, wanted = 20 + (state >> 7) % (n % 16 ? 60 : 300);

    for (i = 0; i < 8; i++) {
        state = state * 1664525u + 1013904223u;
        out[i] = (char)('a' + (state >> 24) % 26);
    }
    len = 8 + (size_t)snprintf(out + 8, LINE_BYTES - 8, " %u ", n);
    for (; len < wanted; len++) {
        state = state * 1664525u + 1013904223u;
        out[len] = (char)(state >> 24);
        if (out[len] == '\n' || out[len] == '\r')
            out[len] = '.';
    }
    out[len++] = '!';
    return len;
}

static void on_line(void *arg, const char *line, size_t len)
{
    char expected[LINE_BYTES];
    uint64_t truncated = vwi_tail_counts(t.tail).truncated;
    size_t expected_len;
    unsigned n = 0;

    (void)arg;
    ck_assert_uint_gt(len, 10);
    ck_assert_msg(sscanf(line + 8, " %u ", &n) == 1, "seed %u: no line of ours after %u", t.seed, t.heard);
    expected_len = write_line(n, expected);
    ck_assert_msg(len == expected_len && memcmp(line, expected, len) == 0, "seed %u: line %u is not as it was written", t.seed, n);
    ck_assert_msg(n >= t.heard, "seed %u: line %u again, after %u", t.seed, n, t.heard);
    if (n > t.heard)
        ck_assert_msg(t.may_lose && truncated > t.seen_truncated, "seed %u: %u to %u are lost, unnoticed", t.seed, t.heard, n - 1);
    t.heard = n + 1;
    t.seen_truncated = truncated;
}

static void on_limit(void *arg)
{
    (void)arg;
    ck_abort_msg("seed %u: line %u of %u does not come", t.seed, t.heard, t.next);
}

static void on_turn(void *arg)
{
    (void)arg;
    vwi_loop_stop(t.loop);
}

static void turn(void)
{
    vwi_timer_start(&t.turn, 0);
    vwi_loop_run(t.loop);
}

static void catch_up(void)
{
    vwi_timer_start(&t.limit, LIMIT_MS);
    while (t.heard < t.next)
        turn();
    vwi_timer_stop(&t.limit);
}

static void open_log(void)
{
    t.fd = open(t.path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    ck_assert_int_ge(t.fd, 0);
    t.files++;
}

/* The next piece of the next line. */
static void put_piece(void)
{
    char line[LINE_BYTES];
    size_t len = write_line(t.next, line), left, n;

    if (t.next % 3 == 0)
        line[len++] = '\r';
    line[len++] = '\n';
    left = len - t.done;
    n = draw(4) ? left : 1 + draw((unsigned)left);
    ck_assert_int_eq(write(t.fd, line + t.done, n), (ssize_t)n);
    t.done = n == left ? 0 : t.done + n;
    t.next += n == left;
}

static void put_lines(unsigned count)
{
    unsigned until = t.next + count;

    while (t.next < until)
        put_piece();
}

/* The old file is written to after it was renamed or deleted, as writers do until they are told; then there is a new one. */
static void rotate(void)
{
    char old[160];

    catch_up(); /* one that comes and goes between two looks is not seen */
    put_lines(draw(3));
    if (draw(2)) {
        snprintf(old, sizeof old, "%s.%u", t.path, t.files % 3);
        ck_assert_int_eq(rename(t.path, old), 0);
    } else {
        ck_assert_int_eq(unlink(t.path), 0);
    }
    if (draw(2))
        turn();
    put_lines(draw(3));
    while (t.done)
        put_piece();
    close(t.fd);
    open_log();
    if (draw(2))
        turn();
    put_lines(1);
}

/* What the writer had begun is not gone on with. A file of which nothing was read yet is not known again, so a line comes first. */
static void truncate_now(void)
{
    if (t.heard <= t.first && (t.next > t.first || t.done)) {
        while (t.done)
            put_piece();
        catch_up();
    }
    t.first = t.next;
    ck_assert_int_eq(ftruncate(t.fd, 0), 0);
    t.truncations++;
    t.done = 0;
}

static void set_up(void)
{
    memset(&t, 0, sizeof t);
    snprintf(t.dir, sizeof t.dir, "/tmp/vwi-tail-random-XXXXXX");
    scratch_make(t.dir);
    snprintf(t.path, sizeof t.path, "%s/model.log", t.dir);
    ck_assert_int_eq(vwi_loop_create(&t.loop, NULL), VW_OK);
    ck_assert_int_eq(vwi_timer_init(&t.limit, t.loop, on_limit, NULL), VW_OK);
    ck_assert_int_eq(vwi_timer_init(&t.turn, t.loop, on_turn, NULL), VW_OK);
}

static void tear_down(void)
{
    vwi_tail_destroy(t.tail);
    vwi_timer_fini(&t.turn);
    vwi_timer_fini(&t.limit);
    vwi_loop_destroy(t.loop);
    scratch_remove(t.dir);
}

static void begin(unsigned seed, bool may_lose)
{
    static const struct vwi_tail_events events = { on_line, NULL };

    t.seed = t.state = seed;
    t.may_lose = may_lose;
    if (t.tail)
        return;
    t.next = t.heard = t.first = t.files = t.truncations = 0;
    t.done = 0;
    t.seen_truncated = 0;
    unlink(t.path);
    if (draw(2))
        open_log();
    else
        t.fd = -1;
    ck_assert_int_eq(vwi_tail_create(t.loop, t.path, &events, &t, &t.tail, NULL), VW_OK);
    if (draw(2))
        turn();
    if (t.fd < 0)
        open_log();
    put_lines(1); /* what comes and goes before the first look is not seen */
}

static void end(void)
{
    while (t.done)
        put_piece();
    put_lines(1); /* behind the last truncation everything comes */
    catch_up();
    ck_assert_uint_eq(t.heard, t.next);
    if (t.seed % FRESH)
        return;
    vwi_tail_destroy(t.tail);
    t.tail = NULL;
    turn();
    close(t.fd);
}

START_TEST(tail_loses_no_line_whatever_the_writer_does)
{
    unsigned i, step;

    for (i = 0; i < SEEDS / RUNS; i++) {
        begin((unsigned)_i * (SEEDS / RUNS) + i + 1, false);
        for (step = 0; step < STEPS; step++) {
            unsigned what = draw(20);

            if (what < 12)
                put_piece();
            else if (what < 17)
                turn();
            else if (what < 19)
                rotate();
            else {
                catch_up();
                truncate_now();
            }
        }
        end();
    }
}
END_TEST

START_TEST(tail_makes_nothing_up_when_a_file_is_truncated_at_any_time)
{
    unsigned i, step;

    for (i = 0; i < SEEDS / RUNS; i++) {
        begin((unsigned)_i * (SEEDS / RUNS) + i + 1, true);
        for (step = 0; step < STEPS; step++) {
            unsigned what = draw(20);

            if (what < 15)
                put_piece();
            else if (what < 18)
                turn();
            else
                truncate_now();
        }
        end();
    }
}
END_TEST

Suite *tail_random_suite(void);

Suite *tail_random_suite(void)
{
    Suite *s = suite_create("tail_random");
    TCase *tc = tcase_create("tail_random");

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, tail_loses_no_line_whatever_the_writer_does, 0, RUNS);
    tcase_add_loop_test(tc, tail_makes_nothing_up_when_a_file_is_truncated_at_any_time, 0, RUNS);
    suite_add_tcase(s, tc);
    return s;
}
