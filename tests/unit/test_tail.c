/* Following a log file: real files in a directory of their own, driven by the loop. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/vwi.h"
#include "io/tail.h"
#include "unit/scratch.h"

#define LIMIT_MS 20000 /* only reached when a test fails */

static struct {
    char dir[64], path[128], other[128];
    struct vwi_loop *loop;
    struct vwi_timer limit;
    struct vwi_tail *tail;
    struct vwi_text lines; /* each with a '|' behind it */
    unsigned count, wanted;
    size_t longest;
    unsigned notes[VWI_TAIL_UNREADABLE + 1];
    int wanted_note; /* -1: none */
    int last_errno;
    bool destroy_in_line;
    const char *rest, *end; /* what the random test still expects */
} t;

static void on_limit(void *arg)
{
    (void)arg;
    ck_abort_msg("no event within the limit; have: %.200s", t.lines.p ? t.lines.p : "");
}

static void on_line(void *arg, const char *line, size_t len)
{
    ck_assert_ptr_eq(arg, &t);
    t.count++;
    if (len > t.longest)
        t.longest = len;
    if (t.lines.len < 4096) {
        vwi_text_add(&t.lines, line, len < 64 ? len : 64);
        vwi_text_adds(&t.lines, "|");
    }
    if (t.destroy_in_line) {
        vwi_tail_destroy(t.tail);
        t.tail = NULL;
    }
    if (t.count == t.wanted)
        vwi_loop_stop(t.loop);
}

static void on_note(void *arg, enum vwi_tail_note note, int sys_errno)
{
    (void)arg;
    t.notes[note]++;
    t.last_errno = sys_errno;
    if (t.wanted_note == (int)note)
        vwi_loop_stop(t.loop);
}

static void set_up(void)
{
    memset(&t, 0, sizeof t);
    t.wanted_note = -1;
    snprintf(t.dir, sizeof t.dir, "/tmp/vwi-tail-XXXXXX");
    scratch_make(t.dir);
    snprintf(t.path, sizeof t.path, "%s/model.log", t.dir);
    snprintf(t.other, sizeof t.other, "%s/model.log.1", t.dir);
    ck_assert_int_eq(vwi_loop_create(&t.loop, NULL), VW_OK);
    ck_assert_int_eq(vwi_timer_init(&t.limit, t.loop, on_limit, NULL), VW_OK);
}

static void tear_down(void)
{
    vwi_tail_destroy(t.tail);
    vwi_timer_fini(&t.limit);
    vwi_loop_destroy(t.loop);
    vwi_text_fini(&t.lines);
    scratch_remove(t.dir);
}

static void follow(const char *path)
{
    static const struct vwi_tail_events events = { on_line, on_note };

    ck_assert_int_eq(vwi_tail_create(t.loop, path, &events, &t, &t.tail, NULL), VW_OK);
}

static void put(const char *path, int flags, const char *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
    close(fd);
}

static void append(const char *path, const char *text) { put(path, O_APPEND, text, strlen(text)); }

/* Runs the loop until so many lines came in all; what came since the last call must be `expected`. */
static void wait_lines(unsigned more, const char *expected)
{
    t.wanted = t.count + more;
    vwi_timer_start(&t.limit, LIMIT_MS);
    vwi_loop_run(t.loop);
    vwi_timer_stop(&t.limit);
    if (expected)
        ck_assert_str_eq(t.lines.p, expected);
    vwi_text_clear(&t.lines);
}

static void wait_note(enum vwi_tail_note note)
{
    t.wanted_note = (int)note;
    vwi_timer_start(&t.limit, LIMIT_MS);
    vwi_loop_run(t.loop);
    vwi_timer_stop(&t.limit);
    t.wanted_note = -1;
}

START_TEST(tail_reads_from_the_beginning_and_on)
{
    append(t.path, "one\ntwo\n");
    follow(t.path);
    ck_assert_str_eq(vwi_tail_path(t.tail), t.path);
    wait_lines(2, "one|two|");
    append(t.path, "three\n");
    wait_lines(1, "three|");
    ck_assert_uint_eq(vwi_tail_counts(t.tail).lines, 3);
}
END_TEST

static void write_late(void *arg)
{
    (void)arg;
    append(t.path, "late\n");
}

START_TEST(tail_waits_for_a_file_that_is_not_there_yet)
{
    struct vwi_timer timer;

    follow(t.path);
    ck_assert_int_eq(vwi_timer_init(&timer, t.loop, write_late, NULL), VW_OK);
    vwi_timer_start(&timer, 5);
    wait_lines(1, "late|");
    vwi_timer_fini(&timer);
}
END_TEST

static void make_dir_late(void *arg)
{
    char sub[100];

    (void)arg;
    snprintf(sub, sizeof sub, "%s/sub", t.dir);
    ck_assert_int_eq(mkdir(sub, 0700), 0);
    write_late(NULL);
}

START_TEST(tail_waits_for_a_directory_that_is_not_there_yet)
{
    struct vwi_timer timer;

    snprintf(t.path, sizeof t.path, "%s/sub/model.log", t.dir);
    follow(t.path);
    ck_assert_int_eq(vwi_timer_init(&timer, t.loop, make_dir_late, NULL), VW_OK);
    vwi_timer_start(&timer, 5);
    wait_lines(1, "late|");
    vwi_timer_fini(&timer);
}
END_TEST

START_TEST(tail_gives_a_half_line_only_when_its_end_comes)
{
    append(t.path, "one\nAppli");
    follow(t.path);
    wait_lines(1, "one|");
    append(t.path, "cation startup");
    append(t.path, " complete\ntw");
    wait_lines(1, "Application startup complete|");
    append(t.path, "o\n");
    wait_lines(1, "two|");
}
END_TEST

START_TEST(tail_strips_one_cr_and_keeps_every_other_byte)
{
    put(t.path, O_APPEND, "a\r\n\r\r\nb\0c\n\n\xff\xfe\n", 15);
    follow(t.path);
    t.wanted = 5;
    wait_lines(5, NULL);
    append(t.path, "a\rb\r");
    append(t.path, "\n");
    wait_lines(1, "a\rb|");
    ck_assert_uint_eq(vwi_tail_counts(t.tail).lines, 6);
}
END_TEST

START_TEST(tail_hands_out_bytes_with_a_nul_inside_whole)
{
    put(t.path, O_APPEND, "b\0c\n", 4);
    follow(t.path);
    t.wanted = 1;
    vwi_timer_start(&t.limit, LIMIT_MS);
    vwi_loop_run(t.loop);
    vwi_timer_stop(&t.limit);
    ck_assert_uint_eq(t.lines.len, 4);
    ck_assert_mem_eq(t.lines.p, "b\0c|", 4);
}
END_TEST

START_TEST(tail_reads_a_renamed_file_to_its_end_before_the_new_one)
{
    append(t.path, "1\n");
    follow(t.path);
    wait_lines(1, "1|");
    append(t.path, "2\nunfinished");
    ck_assert_int_eq(rename(t.path, t.other), 0);
    append(t.path, "3\n");
    wait_lines(3, "2|unfinished|3|");
    ck_assert_uint_eq(vwi_tail_counts(t.tail).rotated, 1);
    ck_assert_uint_eq(t.notes[VWI_TAIL_ROTATED], 1);
    append(t.other, "nobody reads this\n");
    append(t.path, "4\n");
    wait_lines(1, "4|");
}
END_TEST

START_TEST(tail_stays_with_the_old_file_while_the_new_one_is_empty)
{
    append(t.path, "1\n");
    follow(t.path);
    wait_lines(1, "1|");
    ck_assert_int_eq(rename(t.path, t.other), 0);
    append(t.path, "");
    append(t.other, "2\n");
    wait_lines(1, "2|");
    append(t.other, "3\nha");
    wait_lines(1, "3|");
    append(t.other, "lf\n");
    append(t.path, "4\n");
    wait_lines(2, "half|4|");
}
END_TEST

START_TEST(tail_goes_on_after_many_rotations)
{
    char line[32], expected[40];
    int i;

    append(t.path, "start\n");
    follow(t.path);
    wait_lines(1, "start|");
    for (i = 0; i < 20; i++) {
        ck_assert_int_eq(rename(t.path, t.other), 0);
        snprintf(line, sizeof line, "line %d\n", i);
        append(t.path, line);
        snprintf(expected, sizeof expected, "line %d|", i);
        wait_lines(1, expected);
    }
    ck_assert_uint_eq(vwi_tail_counts(t.tail).rotated, 20);
}
END_TEST

START_TEST(tail_reads_a_deleted_file_to_its_end_and_then_the_recreated_one)
{
    int fd = open(t.path, O_WRONLY | O_CREAT | O_APPEND, 0600);

    ck_assert_int_eq(write(fd, "1\n", 2), 2);
    follow(t.path);
    wait_lines(1, "1|");
    ck_assert_int_eq(unlink(t.path), 0);
    ck_assert_int_eq(write(fd, "2\n", 2), 2);
    wait_lines(1, "2|");
    ck_assert_int_eq(write(fd, "3\n", 2), 2);
    close(fd);
    append(t.path, "4\n");
    wait_lines(2, "3|4|");
}
END_TEST

START_TEST(tail_notices_truncation_in_place_and_counts_it)
{
    append(t.path, "aaaa\nbbbb\nhalf");
    follow(t.path);
    wait_lines(2, "aaaa|bbbb|");
    put(t.path, O_TRUNC, "c\n", 2);
    wait_lines(1, "c|");
    ck_assert_uint_eq(vwi_tail_counts(t.tail).truncated, 1);
    ck_assert_uint_eq(t.notes[VWI_TAIL_TRUNCATED], 1);
    ck_assert_uint_eq(vwi_tail_counts(t.tail).rotated, 0);
}
END_TEST

static const struct {
    const char *again;
    unsigned lines;
    const char *said;
} rewritten[] = {
    { "one\ntwo\nthree\nfour\nfive\n", 5, "one|two|three|four|five|" }, /* longer than before */
    { "AAAA\nBBBB\n", 2, "AAAA|BBBB|" },                               /* as long */
    { "c\n", 1, "c|" },
};

START_TEST(tail_notices_a_file_that_was_truncated_and_written_anew_between_two_looks)
{
    append(t.path, "aaaa\nbbbb\n");
    follow(t.path);
    wait_lines(2, "aaaa|bbbb|");
    put(t.path, O_TRUNC, rewritten[_i].again, strlen(rewritten[_i].again));
    wait_lines(rewritten[_i].lines, rewritten[_i].said);
    ck_assert_uint_eq(vwi_tail_counts(t.tail).truncated, 1);
    append(t.path, "on\n");
    wait_lines(1, "on|");
    ck_assert_uint_eq(vwi_tail_counts(t.tail).truncated, 1);
}
END_TEST

START_TEST(tail_goes_on_after_a_rotation_by_copy_and_truncate)
{
    append(t.path, "1\n2\nha");
    follow(t.path);
    wait_lines(2, "1|2|");
    put(t.other, O_TRUNC, "1\n2\nha", 6);
    ck_assert_int_eq(truncate(t.path, 0), 0);
    append(t.path, "3\n4\n5\n");
    wait_lines(3, "3|4|5|");
    ck_assert_uint_eq(vwi_tail_counts(t.tail).truncated, 1);
    ck_assert_uint_eq(t.notes[VWI_TAIL_TRUNCATED], 1);
}
END_TEST

struct chatter {
    struct vwi_timer timer;
    unsigned left;
};

static void write_one(void *arg)
{
    struct chatter *c = arg;

    append(t.path, "line\n");
    if (--c->left)
        vwi_timer_start(&c->timer, 0);
}

START_TEST(tail_hears_a_line_at_a_time_from_a_writer_that_never_rests)
{
    struct chatter c = { .left = 2000 };

    follow(t.path);
    ck_assert_int_eq(vwi_timer_init(&c.timer, t.loop, write_one, &c), VW_OK);
    vwi_timer_start(&c.timer, 0);
    wait_lines(2000, NULL);
    ck_assert_uint_eq(vwi_tail_counts(t.tail).lines, 2000);
    vwi_timer_fini(&c.timer);
}
END_TEST

START_TEST(tail_reads_a_pipe)
{
    int fd;

    ck_assert_int_eq(mkfifo(t.path, 0600), 0);
    follow(t.path);
    wait_note(VWI_TAIL_OPENED);
    fd = open(t.path, O_WRONLY | O_NONBLOCK);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "one\ntwo\n", 8), 8);
    wait_lines(2, "one|two|");
    close(fd);
}
END_TEST

START_TEST(tail_skips_the_hole_that_a_writer_leaves_behind_a_truncation)
{
    static const off_t far = 300000; /* more than the longest line */
    int fd = open(t.path, O_WRONLY | O_CREAT, 0600);

    ck_assert_int_eq(pwrite(fd, "x\n", 2, 0), 2);
    follow(t.path);
    wait_lines(1, "x|");
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    wait_note(VWI_TAIL_TRUNCATED);
    ck_assert_int_eq(pwrite(fd, "after\n", 6, far), 6);
    close(fd);
    wait_lines(1, "after|");
    ck_assert_uint_eq(vwi_tail_counts(t.tail).long_lines, 0);
}
END_TEST

START_TEST(tail_cuts_a_long_line_and_goes_on_behind_it)
{
    size_t len = VWI_LINE_MAX * 3 + 17;
    char *line = malloc(len);

    memset(line, 'x', len);
    put(t.path, O_APPEND, line, len);
    append(t.path, "\nnext\n");
    follow(t.path);
    wait_lines(2, NULL);
    ck_assert_uint_eq(t.longest, VWI_LINE_MAX);
    append(t.path, "short\n");
    wait_lines(1, "short|");
    ck_assert_uint_eq(vwi_tail_counts(t.tail).long_lines, 1);
    ck_assert_uint_eq(vwi_tail_counts(t.tail).lines, 3);
    free(line);
}
END_TEST

static const struct {
    size_t len;
    const char *end;
    unsigned cut;
} long_lines[] = {
    { VWI_LINE_MAX, "\n", 0 },     { VWI_LINE_MAX, "\r\n", 0 },     { VWI_LINE_MAX + 1, "\n", 1 },
    { VWI_LINE_MAX + 1, "\r\n", 1 }, { VWI_LINE_MAX + 2, "\n", 1 }, { VWI_LINE_MAX - 1, "\r\n", 0 },
};

START_TEST(tail_allows_a_line_of_just_the_limit)
{
    size_t len = long_lines[_i].len;
    char *line = malloc(len);

    memset(line, 'x', len);
    put(t.path, O_APPEND, line, len);
    append(t.path, long_lines[_i].end);
    append(t.path, "next\n");
    follow(t.path);
    wait_lines(2, NULL);
    ck_assert_uint_eq(t.longest, len < VWI_LINE_MAX ? len : VWI_LINE_MAX);
    ck_assert_uint_eq(vwi_tail_counts(t.tail).long_lines, long_lines[_i].cut);
    free(line);
}
END_TEST

START_TEST(tail_reads_a_large_file_in_turns)
{
    struct vwi_text text = VWI_TEXT_INIT;
    unsigned i;

    for (i = 0; i < 100000; i++)
        vwi_text_addf(&text, "line %u of a model that talks a lot\n", i);
    put(t.path, O_APPEND, text.p, text.len);
    follow(t.path);
    wait_lines(100000, NULL);
    ck_assert_uint_eq(vwi_tail_counts(t.tail).lines, 100000);
    vwi_text_fini(&text);
}
END_TEST

START_TEST(tail_may_be_destroyed_inside_its_line)
{
    append(t.path, "one\ntwo\n");
    follow(t.path);
    t.destroy_in_line = true;
    wait_lines(1, "one|");
    ck_assert_ptr_null(t.tail);
}
END_TEST

START_TEST(tail_follows_a_link_to_another_file)
{
    char first[128], second[128];

    snprintf(first, sizeof first, "%s/first", t.dir);
    snprintf(second, sizeof second, "%s/second", t.dir);
    append(first, "1\n");
    append(second, "2\n");
    ck_assert_int_eq(symlink(first, t.path), 0);
    follow(t.path);
    wait_lines(1, "1|");
    ck_assert_int_eq(symlink(second, t.other), 0);
    ck_assert_int_eq(rename(t.other, t.path), 0);
    wait_lines(1, "2|");
    append(second, "3\n");
    wait_lines(1, "3|");
}
END_TEST

START_TEST(tail_finds_its_file_again_in_a_new_directory)
{
    char sub[100], gone[110];

    snprintf(sub, sizeof sub, "%s/sub", t.dir);
    snprintf(gone, sizeof gone, "%s/gone", t.dir);
    snprintf(t.path, sizeof t.path, "%s/model.log", sub);
    ck_assert_int_eq(mkdir(sub, 0700), 0);
    append(t.path, "1\n");
    follow(t.path);
    wait_lines(1, "1|");
    ck_assert_int_eq(rename(sub, gone), 0);
    ck_assert_int_eq(mkdir(sub, 0700), 0);
    append(t.path, "2\n");
    wait_lines(1, "2|");
    append(t.path, "3\n");
    wait_lines(1, "3|");
}
END_TEST

START_TEST(tail_says_once_that_a_path_cannot_be_read)
{
    ck_assert_int_eq(mkdir(t.path, 0700), 0);
    follow(t.path);
    wait_note(VWI_TAIL_UNREADABLE);
    ck_assert_int_eq(t.last_errno, EISDIR);
    ck_assert_int_eq(rmdir(t.path), 0);
    append(t.path, "one\n");
    wait_lines(1, "one|");
    ck_assert_uint_eq(t.notes[VWI_TAIL_UNREADABLE], 1);
    ck_assert_uint_eq(t.notes[VWI_TAIL_OPENED], 1);
}
END_TEST

START_TEST(tail_creation_survives_each_failed_allocation)
{
    static const struct vwi_tail_events events = { on_line, NULL };
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    append(t.path, "one\n");
    for (nth = 0; err != VW_OK; nth++) {
        ck_assert_uint_lt(nth, 100);
        vwi_mem_fail_nth(nth);
        err = vwi_tail_create(t.loop, t.path, &events, &t, &t.tail, NULL);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || err == VW_E_NOMEM);
    }
    wait_lines(1, "one|");
}
END_TEST

/* The same rules, said in the plainest way, over the bytes as they were written. */
static void on_expected_line(void *arg, const char *line, size_t len)
{
    const char *p = t.rest, *nl = memchr(p, '\n', (size_t)(t.end - p));
    size_t want;

    (void)arg;
    ck_assert_ptr_nonnull(nl);
    t.rest = nl + 1;
    while (p < nl && *p == '\0')
        p++;
    want = (size_t)(nl - p);
    if (want > 0 && p[want - 1] == '\r')
        want--;
    if (want > VWI_LINE_MAX)
        want = VWI_LINE_MAX;
    ck_assert_uint_eq(len, want);
    ck_assert(len == 0 || memcmp(line, p, len) == 0);
    if (t.rest == t.end)
        vwi_loop_stop(t.loop);
}

struct writer {
    struct vwi_timer timer;
    const char *p, *end;
    unsigned seed;
};

static void write_piece(void *arg)
{
    struct writer *w = arg;
    size_t left = (size_t)(w->end - w->p);
    size_t len = 1 + (size_t)rand_r(&w->seed) % (rand_r(&w->seed) % 8 ? 100 : 100000);

    put(t.path, O_APPEND, w->p, len < left ? len : left);
    w->p += len < left ? len : left;
    if (w->p < w->end)
        vwi_timer_start(&w->timer, 0);
}

START_TEST(tail_loses_and_doubles_no_byte_however_it_is_written)
{
    static const struct vwi_tail_events events = { on_expected_line, NULL };
    static const char bytes[] = "ab\r\0\nxy\n";
    struct writer w = { .seed = (unsigned)_i + 1 };
    size_t size = 600000, i, run;
    char *data = malloc(size);

    for (i = 0; i < size; i += run) {
        char c = bytes[rand_r(&w.seed) % 8];

        run = 1 + (c != '\n' && rand_r(&w.seed) % 1000 == 0 ? (size_t)rand_r(&w.seed) % 150000 : 0);
        run = run < size - i ? run : size - i;
        memset(data + i, c, run);
    }
    data[size - 1] = '\n';
    t.rest = w.p = data;
    t.end = w.end = data + size;
    ck_assert_int_eq(vwi_tail_create(t.loop, t.path, &events, &t, &t.tail, NULL), VW_OK);
    ck_assert_int_eq(vwi_timer_init(&w.timer, t.loop, write_piece, &w), VW_OK);
    vwi_timer_start(&w.timer, 0);
    wait_lines(0, NULL);
    ck_assert_ptr_eq(t.rest, t.end);
    vwi_timer_fini(&w.timer);
    free(data);
}
END_TEST

Suite *tail_suite(void);

Suite *tail_suite(void)
{
    Suite *s = suite_create("tail");
    TCase *tc = tcase_create("tail");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, tail_reads_from_the_beginning_and_on);
    tcase_add_test(tc, tail_waits_for_a_file_that_is_not_there_yet);
    tcase_add_test(tc, tail_waits_for_a_directory_that_is_not_there_yet);
    tcase_add_test(tc, tail_gives_a_half_line_only_when_its_end_comes);
    tcase_add_test(tc, tail_strips_one_cr_and_keeps_every_other_byte);
    tcase_add_test(tc, tail_hands_out_bytes_with_a_nul_inside_whole);
    tcase_add_test(tc, tail_reads_a_renamed_file_to_its_end_before_the_new_one);
    tcase_add_test(tc, tail_stays_with_the_old_file_while_the_new_one_is_empty);
    tcase_add_test(tc, tail_goes_on_after_many_rotations);
    tcase_add_test(tc, tail_reads_a_deleted_file_to_its_end_and_then_the_recreated_one);
    tcase_add_test(tc, tail_notices_truncation_in_place_and_counts_it);
    tcase_add_loop_test(tc, tail_notices_a_file_that_was_truncated_and_written_anew_between_two_looks, 0,
                        (int)VWI_ARRAY_LEN(rewritten));
    tcase_add_test(tc, tail_goes_on_after_a_rotation_by_copy_and_truncate);
    tcase_add_test(tc, tail_hears_a_line_at_a_time_from_a_writer_that_never_rests);
    tcase_add_test(tc, tail_reads_a_pipe);
    tcase_add_test(tc, tail_skips_the_hole_that_a_writer_leaves_behind_a_truncation);
    tcase_add_test(tc, tail_cuts_a_long_line_and_goes_on_behind_it);
    tcase_add_loop_test(tc, tail_allows_a_line_of_just_the_limit, 0, (int)VWI_ARRAY_LEN(long_lines));
    tcase_add_test(tc, tail_reads_a_large_file_in_turns);
    tcase_add_loop_test(tc, tail_loses_and_doubles_no_byte_however_it_is_written, 0, 5);
    tcase_add_test(tc, tail_may_be_destroyed_inside_its_line);
    tcase_add_test(tc, tail_follows_a_link_to_another_file);
    tcase_add_test(tc, tail_finds_its_file_again_in_a_new_directory);
    tcase_add_test(tc, tail_says_once_that_a_path_cannot_be_read);
    tcase_add_test(tc, tail_creation_survives_each_failed_allocation);
    suite_add_tcase(s, tc);
    return s;
}
