/* Lines of the log: when they are written, and that nobody waits for a reader that does not read. */
#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define PIPE_ROOM 65536

static int reader, writer;
static struct vwi_log_buffer buffer;
static struct vwi_log text_log, json_log;
static char got[4 << 20];

static void set_up(void)
{
    int ends[2];

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    reader = ends[0];
    writer = ends[1];
    fcntl(reader, F_SETFL, O_NONBLOCK); /* the reading end alone: the two of a pipe are apart */
    ck_assert_int_ge(fcntl(writer, F_SETPIPE_SZ, PIPE_ROOM), 0);
    vwi_log_buffer_init(&buffer, writer);
    text_log = (struct vwi_log){ .level = VW_LOG_INFO, .buffer = &buffer };
    json_log = (struct vwi_log){ .level = VW_LOG_INFO, .json = true, .buffer = &buffer };
}

static void tear_down(void)
{
    vwi_log_buffer_fini(&buffer);
    close(reader);
    close(writer);
}

/* Appends what is there. */
static size_t take(void)
{
    size_t len = strlen(got);
    ssize_t n;

    while ((n = read(reader, got + len, sizeof got - 1 - len)) > 0)
        len += (size_t)n;
    got[len] = '\0';
    return len;
}

static unsigned count(const char *part)
{
    const char *at;
    unsigned n = 0;

    for (at = got; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

START_TEST(a_line_has_its_time_and_level_and_is_written_at_once)
{
    vwi_log_info(&text_log, "hello %d", 5);
    take();
    ck_assert_uint_eq(strlen(got), strlen("2026-11-26T15:04:05.123Z info  hello 5\n"));
    ck_assert_str_eq(got + 24, " info  hello 5\n");
    ck_assert(got[4] == '-' && got[10] == 'T' && got[19] == '.' && got[23] == 'Z');
    vwi_log_error(&text_log, "oh");
    vwi_log(&text_log, VW_LOG_DEBUG, "not wanted");
    take();
    ck_assert_ptr_nonnull(strstr(got, "Z error oh\n"));
    ck_assert_ptr_null(strstr(got, "wanted"));
}
END_TEST

START_TEST(a_json_line_is_one_object)
{
    json_t *json;

    vwi_log_warn(&json_log, "a \"quote\" and\na line");
    take();
    json = json_loads(got, 0, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_str_eq(json_string_value(json_object_get(json, "message")), "a \"quote\" and\na line");
    ck_assert_str_eq(json_string_value(json_object_get(json, "level")), "warn");
    ck_assert_uint_eq(strlen(json_string_value(json_object_get(json, "time"))), 24);
    json_decref(json);
}
END_TEST

START_TEST(lines_that_are_held_are_written_together_in_their_order)
{
    vwi_log_hold(&text_log, true);
    vwi_log_info(&text_log, "one");
    vwi_text_adds(vwi_log_open(&text_log, VW_LOG_INFO), "two=2");
    vwi_log_close(&text_log, VW_LOG_INFO);
    ck_assert_uint_eq(take(), 0);
    vwi_log_flush(&text_log);
    take();
    ck_assert(strstr(got, " info  one\n") < strstr(got, " info  two=2\n"));
    vwi_log_info(&text_log, "three");
    vwi_log_hold(&text_log, false);
    vwi_log_info(&text_log, "four");
    take();
    ck_assert(strstr(got, "three\n") && strstr(got, "four\n"));
}
END_TEST

START_TEST(a_warning_does_not_wait_and_takes_what_came_before_with_it)
{
    vwi_log_hold(&text_log, true);
    vwi_log_info(&text_log, "before");
    vwi_log_warn(&text_log, "now");
    take();
    ck_assert(strstr(got, "before\n") && strstr(got, "before\n") < strstr(got, "now\n"));
}
END_TEST

START_TEST(very_many_lines_do_not_wait_for_the_end_of_the_turn)
{
    int i;

    vwi_log_hold(&text_log, true);
    for (i = 0; i < 1000; i++)
        vwi_log_info(&text_log, "%0100d", i);
    ck_assert_uint_gt(take(), 32768);
    while (take(), buffer.lines.len)
        vwi_log_flush(&text_log);
    take();
    ck_assert_uint_eq(count("\n"), 1000);
}
END_TEST

/* Writing to a full pipe would stop this test for good. */
START_TEST(a_reader_that_does_not_read_stops_nobody_and_costs_counted_lines)
{
    const unsigned lines = 20000;
    unsigned i, read_lines;

    vwi_log_hold(&text_log, true);
    for (i = 0; i < lines; i++) {
        vwi_log_info(&text_log, "%0100u", i);
        if (i % 100 == 0)
            vwi_log_flush(&text_log);
    }
    vwi_log_error(&text_log, "a failure"); /* has room of its own */
    ck_assert_uint_gt(buffer.dropped, 0);
    ck_assert_uint_lt(buffer.lines.len, VWI_LOG_HELD_BYTES + VWI_LOG_URGENT_BYTES);
    for (i = 0; i < 1000 && (take(), buffer.lines.len || buffer.told != buffer.dropped); i++)
        vwi_log_flush(&text_log);
    take();
    read_lines = count("\n");
    ck_assert_uint_eq(count("a failure\n"), 1);
    ck_assert_uint_eq(count("lines of this log were dropped"), 1);
    ck_assert_uint_eq(read_lines - 2 + buffer.dropped, lines);
    ck_assert_uint_eq(fcntl(writer, F_GETFL) & O_NONBLOCK, 0); /* it may be somebody else's, too */
}
END_TEST

START_TEST(errors_are_bounded_as_well)
{
    int i;

    vwi_log_hold(&text_log, true);
    for (i = 0; i < 20000; i++)
        vwi_log_error(&text_log, "%0100d", i);
    ck_assert_uint_gt(buffer.dropped, 0);
    ck_assert_uint_lt(buffer.lines.len, VWI_LOG_HELD_BYTES + VWI_LOG_URGENT_BYTES + 200);
}
END_TEST

START_TEST(a_closed_reader_costs_lines_and_no_more)
{
    int null = open("/dev/full", O_WRONLY | O_CLOEXEC);

    ck_assert_int_ge(null, 0);
    buffer.fd = null;
    vwi_log_hold(&text_log, true);
    vwi_log_info(&text_log, "lost");
    vwi_log_info(&text_log, "as well");
    vwi_log_flush(&text_log);
    ck_assert_uint_ge(buffer.dropped, 2);
    ck_assert_uint_eq(buffer.lines.len, 0);
    close(null);
}
END_TEST

static void keep_line(void *arg, vw_log_level_t level, const char *line)
{
    (void)level;
    vwi_text_adds(arg, line);
    vwi_text_adds(arg, "|");
}

START_TEST(an_embedder_gets_each_line_at_once_and_singly)
{
    struct vwi_text kept = VWI_TEXT_INIT;

    text_log.fn = keep_line;
    text_log.arg = &kept;
    vwi_log_hold(&text_log, true);
    vwi_log_info(&text_log, "one");
    vwi_text_adds(vwi_log_open(&text_log, VW_LOG_INFO), "two");
    vwi_log_close(&text_log, VW_LOG_INFO);
    ck_assert_uint_eq(kept.len, 2 * strlen("2026-11-26T15:04:05.123Z info  one|"));
    ck_assert(strstr(kept.p, "info  one|") && strstr(kept.p, "info  two|"));
    vwi_log_flush(&text_log);
    ck_assert_uint_eq(take(), 0);
    vwi_text_fini(&kept);
}
END_TEST

START_TEST(a_line_without_memory_is_dropped_and_counted)
{
    unsigned nth;

    vwi_log_hold(&text_log, true);
    for (nth = 0; nth < 3; nth++) {
        uint64_t before = buffer.dropped;

        vwi_log_buffer_fini(&buffer);
        buffer.at = 0;
        vwi_mem_fail_nth(nth);
        vwi_log_info(&text_log, "%0500d", 1);
        vwi_mem_fail_never();
        vwi_log_flush(&text_log);
        take();
        ck_assert_uint_le(buffer.dropped - before, 1);
        if (nth == 0)
            ck_assert_uint_eq(buffer.dropped - before, 1);
    }
    vwi_log_info(&text_log, "goes on");
    vwi_log_flush(&text_log);
    take();
    ck_assert_uint_eq(count("goes on\n"), 1);
}
END_TEST

Suite *log_suite(void);

Suite *log_suite(void)
{
    Suite *s = suite_create("log");
    TCase *tc = tcase_create("log");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_line_has_its_time_and_level_and_is_written_at_once);
    tcase_add_test(tc, a_json_line_is_one_object);
    tcase_add_test(tc, lines_that_are_held_are_written_together_in_their_order);
    tcase_add_test(tc, a_warning_does_not_wait_and_takes_what_came_before_with_it);
    tcase_add_test(tc, very_many_lines_do_not_wait_for_the_end_of_the_turn);
    tcase_add_test(tc, a_reader_that_does_not_read_stops_nobody_and_costs_counted_lines);
    tcase_add_test(tc, errors_are_bounded_as_well);
    tcase_add_test(tc, a_closed_reader_costs_lines_and_no_more);
    tcase_add_test(tc, an_embedder_gets_each_line_at_once_and_singly);
    tcase_add_test(tc, a_line_without_memory_is_dropped_and_counted);
    suite_add_tcase(s, tc);
    return s;
}
