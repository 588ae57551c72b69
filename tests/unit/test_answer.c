/* The model's answers, whole and byte by byte: framing, bounds, nonsense, and every allocation failing once. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/vwi.h"
#include "io/http1_answer.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

struct seen {
    struct vwi_text head, body, interim, trailers;
    int heads, bodies, interims, status;
    int64_t length;
    bool chunked, complete_at_head, complete_at_body, stop_at_head, stop_at_body, stop_at_interim, stop_at_trailers;
    struct vwi_http1_answer *answer;
};

static void note_fields(struct vwi_text *t, const struct vwi_answer *answer)
{
    size_t i;

    for (i = 0; i < answer->header_count; i++)
        vwi_text_addf(t, "%.*s=%.*s;", (int)answer->names[i].len, answer->names[i].p, (int)answer->values[i].len,
                      answer->values[i].p);
}

static bool on_head(void *arg, const struct vwi_answer *answer)
{
    struct seen *seen = arg;

    seen->heads++;
    seen->status = answer->status;
    seen->length = answer->content_length;
    seen->chunked = answer->chunked;
    seen->complete_at_head = vwi_http1_answer_complete(seen->answer);
    note_fields(&seen->head, answer);
    return !seen->stop_at_head;
}

static bool on_body(void *arg, const char *data, size_t len)
{
    struct seen *seen = arg;

    ck_assert_uint_gt(len, 0);
    seen->bodies++;
    seen->complete_at_body = vwi_http1_answer_complete(seen->answer);
    vwi_text_add(&seen->body, data, len);
    return !seen->stop_at_body;
}

static bool on_interim(void *arg, const struct vwi_answer *answer)
{
    struct seen *seen = arg;

    seen->interims++;
    vwi_text_addf(&seen->interim, "%d ", answer->status);
    note_fields(&seen->interim, answer);
    return !seen->stop_at_interim;
}

static bool on_trailers(void *arg, const struct vwi_answer *trailers)
{
    struct seen *seen = arg;

    ck_assert_uint_gt(trailers->header_count, 0);
    ck_assert(vwi_http1_answer_complete(seen->answer));
    note_fields(&seen->trailers, trailers);
    return !seen->stop_at_trailers;
}

static const struct vwi_http1_answer_events events = { .on_head = on_head, .on_interim = on_interim, .on_trailers = on_trailers,
                                                       .on_body = on_body };

static void seen_fini(struct seen *seen)
{
    vwi_http1_answer_destroy(seen->answer);
    vwi_text_fini(&seen->head);
    vwi_text_fini(&seen->body);
    vwi_text_fini(&seen->interim);
    vwi_text_fini(&seen->trailers);
}

/* Feeds text in pieces of `step` bytes from a copy (the parser may move bytes), then an end of file when it still waits. */
static enum vwi_answer_result feed(struct seen *seen, const char *text, size_t len, size_t step, bool head_request,
                                   size_t *ret_used, const char **ret_reason)
{
    enum vwi_answer_result result = VWI_ANSWER_MORE;
    char *copy = malloc(len + 1);
    size_t off = 0, used;

    *ret_reason = NULL;
    memcpy(copy, text, len);
    if (!seen->answer)
        seen->answer = vwi_http1_answer_create(&events, seen);
    ck_assert_ptr_nonnull(seen->answer);
    vwi_http1_answer_begin(seen->answer, head_request, false);
    while (off < len && result == VWI_ANSWER_MORE) {
        result = vwi_http1_answer_feed(seen->answer, copy + off, len - off < step ? len - off : step, &used, ret_reason);
        off += used;
    }
    if (result == VWI_ANSWER_MORE)
        result = vwi_http1_answer_eof(seen->answer, ret_reason);
    *ret_used = off;
    free(copy);
    return result;
}

struct good {
    const char *text;
    bool head_request;
    int status;
    const char *head, *body;
    int64_t length;
    bool chunked, keep_alive;
    size_t behind; /* bytes of text that are not the answer's */
};

static const struct good good[] = {
    { OK "Content-Length: 3\r\nX: a b \t\r\n\r\nabc", false, 200, "Content-Length=3;X=a b;", "abc", 3, false, true, 0 },
    { "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false, 200, "Content-Length=0;", "", 0, false, true, 0 },
    { OK "Content-Length: 1\r\n\r\nabc", false, 200, "Content-Length=1;", "a", 1, false, true, 2 },
    { OK CHUNKED "\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: x\r\n\r\n", false, 200, "Transfer-Encoding=chunked;",
      "abcdefg", -1, true, true, 0 },
    { OK "transfer-encoding: Chunked\r\n\r\n0\r\n\r\nHTTP/1.1", false, 200, "transfer-encoding=Chunked;", "", -1,
      true, true, 8 },
    { OK "A: 1\r\n\r\nto the end", false, 200, "A=1;", "to the end", -1, false, false, 0 },
    { "HTTP/1.0 200 OK\r\n\r\nold", false, 200, "", "old", -1, false, false, 0 },
    { "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", false, 200, "Content-Length=3;", "old", 3, false, false, 0 },
    { "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nold", false, 200,
      "Content-Length=3;Connection=keep-alive;", "old", 3, false, true, 0 },
    { "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" CHUNKED "\r\n1\r\na\r\n0\r\n\r\n", false, 200,
      "Connection=keep-alive;Transfer-Encoding=chunked;", "a", -1, true, false, 0 },
    { OK "Connection: x, Close\r\nContent-Length: 1\r\n\r\na", false, 200, "Connection=x, Close;Content-Length=1;", "a",
      1, false, false, 0 },
    { OK "Content-Length: 9\r\n\r\n", true, 200, "Content-Length=9;", "", 9, false, true, 0 },
    { OK CHUNKED "\r\n", true, 200, "Transfer-Encoding=chunked;", "", -1, true, true, 0 },
    { OK "\r\n", true, 200, "", "", -1, false, true, 0 },
    { "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false, 204, "Content-Length=5;", "", -1, false, true, 0 },
    { "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, 304, "Content-Length=5;", "", 5, false, true, 0 },
    { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK "Content-Length: 2\r\n\r\nok", false, 200,
      "Content-Length=2;", "ok", 2, false, true, 0 },
    { OK "X: a\r\n  b\r\nY:\r\nContent-Length: 0\r\n\r\n", false, 200, "X=a  b;Y=;Content-Length=0;", "", 0, false, true,
      0 },
    { OK "Set-Cookie: a\r\nSet-Cookie: b\r\nX: \x80\xff\r\nContent-Length: 0\r\n\r\n", false, 200,
      "Set-Cookie=a;Set-Cookie=b;X=\x80\xff;Content-Length=0;", "", 0, false, true, 0 },
    { "HTTP/1.1 999 Odd\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nx", false, 999,
      "Upgrade=h2c;Connection=upgrade;Content-Length=1;", "x", 1, false, true, 0 },
};

static void check_good(const struct good *g, size_t step)
{
    struct seen seen = { 0 };
    const char *reason;
    size_t used;

    ck_assert_int_eq(feed(&seen, g->text, strlen(g->text), step, g->head_request, &used, &reason), VWI_ANSWER_DONE);
    ck_assert_int_eq(seen.heads, 1);
    ck_assert_int_eq(seen.status, g->status);
    ck_assert_str_eq(seen.head.p ? seen.head.p : "", g->head);
    ck_assert_str_eq(seen.body.p ? seen.body.p : "", g->body);
    ck_assert_int_eq(seen.length, g->length);
    ck_assert_int_eq(seen.chunked, g->chunked);
    ck_assert_int_eq(vwi_http1_answer_keep_alive(seen.answer), g->keep_alive);
    ck_assert_uint_eq(used, strlen(g->text) - g->behind);
    seen_fini(&seen);
}

START_TEST(answer_is_read_whole)
{
    check_good(&good[_i], SIZE_MAX);
}
END_TEST

START_TEST(answer_is_read_byte_by_byte)
{
    check_good(&good[_i], 1);
    check_good(&good[_i], 7);
}
END_TEST

struct bad {
    const char *text, *reason; /* NULL: llhttp's own words */
};

static const struct bad bad[] = {
    { "", "closed before an answer" },
    { OK "A: b", "closed in the middle of the head" },
    { "HTTP/1.1 100 Continue\r\n\r\n", "closed before an answer" },
    { OK "Content-Length: 3\r\n\r\nab", "closed before the end of the answer" },
    { OK CHUNKED "\r\n3\r\nabc\r\n", "closed before the end of the answer" },
    { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "101 Switching Protocols, which was not asked for" },
    { "HTTP/1.1 20 OK\r\n\r\n", "status below 100" },
    { "HTTP/2.0 200 OK\r\n\r\n", "not HTTP/1.0 or HTTP/1.1" },
    { "HTTP/0.9 200 OK\r\n\r\n", "not HTTP/1.0 or HTTP/1.1" },
    { OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "transfer coding other than chunked" },
    { OK "Transfer-Encoding: gzip\r\n\r\nx", "transfer coding other than chunked" },
    { OK "Content-Length: 18446744073709551615\r\n\r\n", "Content-Length too large" },
    { OK ": x\r\nContent-Length: 0\r\n\r\n", NULL },
    { OK "Content-Length: 1\r\n" CHUNKED "\r\n0\r\n\r\n", NULL },
    { OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", NULL },
    { OK "Content-Length: 1x\r\n\r\nab", NULL },
    { OK "Content-Length: 99999999999999999999\r\n\r\nab", NULL },
    { OK "A b: c\r\n\r\n", NULL },
    { OK "A: b\rc\r\n\r\n", NULL },
    { "HTTP/1.1 2000 OK\r\n\r\n", NULL },
    { "ICY 200 OK\r\n\r\n", NULL },
    { "<html>", NULL },
    { OK CHUNKED "\r\nxyz\r\n", NULL },
    { OK CHUNKED "\r\n-1\r\n", NULL },
    { OK CHUNKED "\r\nfffffffffffffffff\r\n", NULL },
    { OK CHUNKED "\r\n1\r\nabc\r\n0\r\n\r\n", NULL },
};

START_TEST(nonsense_is_broken_with_a_reason)
{
    size_t steps[] = { SIZE_MAX, 1 }, used, i;
    const char *reason;

    for (i = 0; i < VWI_ARRAY_LEN(steps); i++) {
        struct seen seen = { 0 };

        ck_assert_int_eq(feed(&seen, bad[_i].text, strlen(bad[_i].text), steps[i], false, &used, &reason), VWI_ANSWER_BROKEN);
        ck_assert_ptr_nonnull(reason);
        if (bad[_i].reason)
            ck_assert_str_eq(reason, bad[_i].reason);
        seen_fini(&seen);
    }
}
END_TEST

START_TEST(nul_in_a_value_is_broken)
{
    static const char text[] = OK "A: b\0c\r\n\r\n";
    struct seen seen = { 0 };
    const char *reason;
    size_t used;

    ck_assert_int_eq(feed(&seen, text, sizeof text - 1, SIZE_MAX, false, &used, &reason), VWI_ANSWER_BROKEN);
    seen_fini(&seen);
}
END_TEST

/* One line repeated: fields, head bytes and chunk framing all have an end. */
static void check_flood(const char *start, const char *line, size_t times, const char *reason_wanted)
{
    struct vwi_text text = VWI_TEXT_INIT;
    struct seen seen = { 0 };
    const char *reason;
    size_t used, i;

    vwi_text_adds(&text, start);
    for (i = 0; i < times; i++)
        vwi_text_adds(&text, line);
    ck_assert_int_eq(feed(&seen, text.p, text.len, 1000, false, &used, &reason), VWI_ANSWER_BROKEN);
    ck_assert_str_eq(reason, reason_wanted);
    ck_assert_uint_lt(used, 68 * 1024);
    vwi_text_fini(&text);
    seen_fini(&seen);
}

START_TEST(head_and_framing_are_bounded)
{
    check_flood(OK, "a: b\r\n", 300, "too many header fields");
    check_flood(OK "a: ", "bbbbbbbbbbbbbbbb", 8192, "head too large");
    check_flood("HTTP/1.1 200 ", "O", 100000, "head too large");
    check_flood("", "\r\n", 100000, "head too large");
    check_flood(OK CHUNKED "\r\n1;", "x", 100000, "chunk framing too large");
    check_flood(OK CHUNKED "\r\n0\r\n", "t: x\r\n", 20000, "too many trailer fields");
    check_flood(OK CHUNKED "\r\n0\r\nt: ", "xxxxxxxxxxxxxxxx", 8192, "trailers too large");
    check_flood("", "HTTP/1.1 100 Continue\r\n\r\n", VWI_ANSWER_INTERIMS + 1, "too many interim answers");
}
END_TEST

START_TEST(interim_answers_are_told_in_order_but_for_100)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\nLink: b\r\n"
                               "\r\nHTTP/1.1 199 Odd\r\nContent-Length: 3\r\n\r\n" OK "Content-Length: 2\r\n\r\nok";
    static const size_t steps[] = { SIZE_MAX, 1, 7 };
    struct seen seen = { 0 };
    const char *reason;
    size_t used;

    ck_assert_int_eq(feed(&seen, text, strlen(text), steps[_i], false, &used, &reason), VWI_ANSWER_DONE);
    ck_assert_str_eq(seen.interim.p, "102 103 Link=a;Link=b;199 Content-Length=3;");
    ck_assert_str_eq(seen.head.p, "Content-Length=2;");
    ck_assert_str_eq(seen.body.p, "ok");
    seen_fini(&seen);
}
END_TEST

START_TEST(trailers_are_told_once_behind_the_chunks)
{
    static const char text[] = OK "A: 1\r\n" CHUNKED "\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nT: x y \r\nEmpty:\r\nT: z\r\n\r\n";
    static const size_t steps[] = { SIZE_MAX, 1, 7 };
    struct seen seen = { 0 };
    const char *reason;
    size_t used;

    ck_assert_int_eq(feed(&seen, text, strlen(text), steps[_i], false, &used, &reason), VWI_ANSWER_DONE);
    ck_assert_str_eq(seen.head.p, "A=1;Transfer-Encoding=chunked;");
    ck_assert_str_eq(seen.trailers.p, "T=x y;Empty=;T=z;");
    ck_assert_str_eq(seen.body.p, "abcd");
    ck_assert_uint_eq(used, strlen(text));
    seen_fini(&seen);
}
END_TEST

START_TEST(many_large_fields_are_kept_in_order)
{
    struct vwi_text text = VWI_TEXT_INIT, wanted = VWI_TEXT_INIT;
    struct seen seen = { 0 };
    const char *reason;
    size_t used;
    int i;

    vwi_text_adds(&text, OK "Content-Length: 0\r\n");
    vwi_text_adds(&wanted, "Content-Length=0;");
    for (i = 0; i < 200; i++) {
        vwi_text_addf(&text, "x-%d: %0200d\r\n", i, i);
        vwi_text_addf(&wanted, "x-%d=%0200d;", i, i);
    }
    vwi_text_adds(&text, "\r\n");
    ck_assert_int_eq(feed(&seen, text.p, text.len, 333, false, &used, &reason), VWI_ANSWER_DONE);
    ck_assert_str_eq(seen.head.p, wanted.p);
    vwi_text_fini(&text);
    vwi_text_fini(&wanted);
    seen_fini(&seen);
}
END_TEST

START_TEST(chunks_that_arrive_together_are_delivered_together)
{
    static const char text[] = OK CHUNKED "\r\n3\r\nabc\r\n1\r\nd\r\n2\r\nef\r\n0\r\n\r\n";
    struct seen seen = { 0 };
    const char *reason;
    size_t used;

    ck_assert_int_eq(feed(&seen, text, strlen(text), SIZE_MAX, false, &used, &reason), VWI_ANSWER_DONE);
    ck_assert_int_eq(seen.bodies, 1);
    ck_assert_str_eq(seen.body.p, "abcdef");
    ck_assert(seen.complete_at_body);
    ck_assert(!seen.complete_at_head);
    seen_fini(&seen);
}
END_TEST

START_TEST(last_piece_is_known_as_such)
{
    static const char text[] = OK "Content-Length: 3\r\n\r\nabc";
    static const char empty[] = OK "Content-Length: 0\r\n\r\n";
    struct seen seen = { 0 };
    const char *reason;
    size_t used;

    feed(&seen, text, strlen(text), strlen(text) - 1, false, &used, &reason);
    ck_assert_int_eq(seen.bodies, 2);
    ck_assert(seen.complete_at_body);
    feed(&seen, empty, strlen(empty), SIZE_MAX, false, &used, &reason);
    ck_assert(seen.complete_at_head);
    seen_fini(&seen);
}
END_TEST

START_TEST(callbacks_stop_the_parser)
{
    static const char text[] = OK "Content-Length: 3\r\n\r\nabc";
    static const char hinted[] = "HTTP/1.1 103 Early Hints\r\n\r\n" OK "Content-Length: 3\r\n\r\nabc";
    static const char trailed[] = OK CHUNKED "\r\n1\r\na\r\n0\r\nT: x\r\n\r\n";
    struct seen seen = { .stop_at_head = true };
    const char *reason;
    size_t used;

    ck_assert_int_eq(feed(&seen, text, strlen(text), SIZE_MAX, false, &used, &reason), VWI_ANSWER_STOPPED);
    ck_assert_int_eq(seen.bodies, 0);
    seen.stop_at_head = false;
    seen.stop_at_interim = true;
    ck_assert_int_eq(feed(&seen, hinted, strlen(hinted), SIZE_MAX, false, &used, &reason), VWI_ANSWER_STOPPED);
    ck_assert_int_eq(seen.heads, 1);
    seen.stop_at_interim = false;
    seen.stop_at_trailers = true;
    ck_assert_int_eq(feed(&seen, trailed, strlen(trailed), SIZE_MAX, false, &used, &reason), VWI_ANSWER_STOPPED);
    ck_assert_int_eq(seen.bodies, 0);
    seen.stop_at_trailers = false;
    seen.stop_at_body = true;
    ck_assert_int_eq(feed(&seen, text, strlen(text), strlen(text) - 2, false, &used, &reason), VWI_ANSWER_STOPPED);
    ck_assert_int_eq(seen.bodies, 1);
    seen_fini(&seen);
}
END_TEST

START_TEST(one_parser_reads_answer_after_answer)
{
    struct seen seen = { 0 };
    const char *reason;
    size_t used, i;

    for (i = 0; i < VWI_ARRAY_LEN(good); i++)
        ck_assert_int_eq(feed(&seen, good[i].text, strlen(good[i].text), 5, good[i].head_request, &used, &reason),
                         VWI_ANSWER_DONE);
    ck_assert_int_eq(seen.heads, (int)VWI_ARRAY_LEN(good));
    seen_fini(&seen);
}
END_TEST

static bool count_head(void *arg, const struct vwi_answer *answer)
{
    *(int *)arg += (int)answer->header_count;
    return true;
}

static bool count_body(void *arg, const char *data, size_t len)
{
    (void)data;
    *(int *)arg += (int)len;
    return true;
}

START_TEST(answer_survives_each_failed_allocation)
{
    static const struct vwi_http1_answer_events counting = { .on_head = count_head, .on_trailers = count_head, .on_body = count_body };
    enum vwi_answer_result result = VWI_ANSWER_BROKEN;
    struct vwi_text text = VWI_TEXT_INIT;
    unsigned nth;
    int i;

    vwi_text_adds(&text, OK);
    for (i = 0; i < 100; i++)
        vwi_text_addf(&text, "x-%d: %050d\r\n", i, i);
    vwi_text_adds(&text, CHUNKED "\r\n3\r\nabc\r\n0\r\n");
    for (i = 0; i < 200; i++)
        vwi_text_addf(&text, "x-%d: %0100d\r\n", i, i);
    vwi_text_adds(&text, "\r\n");
    for (nth = 0; result != VWI_ANSWER_DONE; nth++) {
        struct vwi_http1_answer *a;
        const char *reason = NULL;
        int count = 0;
        size_t used;

        ck_assert_uint_lt(nth, 100);
        vwi_mem_fail_nth(nth);
        a = vwi_http1_answer_create(&counting, &count);
        if (a)
            result = vwi_http1_answer_feed(a, text.p, text.len, &used, &reason);
        vwi_mem_fail_never();
        if (a && result != VWI_ANSWER_DONE)
            ck_assert_str_eq(reason, "out of memory");
        ck_assert_int_eq(count, result == VWI_ANSWER_DONE ? 304 : count < 101 ? 0 : 101);
        vwi_http1_answer_destroy(a);
    }
    ck_assert_uint_gt(nth, 4);
    vwi_text_fini(&text);
}
END_TEST

Suite *answer_suite(void);

Suite *answer_suite(void)
{
    Suite *s = suite_create("answer");
    TCase *tc = tcase_create("answer");

    tcase_add_loop_test(tc, answer_is_read_whole, 0, (int)VWI_ARRAY_LEN(good));
    tcase_add_loop_test(tc, answer_is_read_byte_by_byte, 0, (int)VWI_ARRAY_LEN(good));
    tcase_add_loop_test(tc, nonsense_is_broken_with_a_reason, 0, (int)VWI_ARRAY_LEN(bad));
    tcase_add_test(tc, nul_in_a_value_is_broken);
    tcase_add_test(tc, head_and_framing_are_bounded);
    tcase_add_loop_test(tc, interim_answers_are_told_in_order_but_for_100, 0, 3);
    tcase_add_loop_test(tc, trailers_are_told_once_behind_the_chunks, 0, 3);
    tcase_add_test(tc, many_large_fields_are_kept_in_order);
    tcase_add_test(tc, chunks_that_arrive_together_are_delivered_together);
    tcase_add_test(tc, last_piece_is_known_as_such);
    tcase_add_test(tc, callbacks_stop_the_parser);
    tcase_add_test(tc, one_parser_reads_answer_after_answer);
    tcase_add_test(tc, answer_survives_each_failed_allocation);
    suite_add_tcase(s, tc);
    return s;
}
