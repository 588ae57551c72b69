/* What a model's fields say about its body, and which of them go on; sockets and framing are test_relay's. */
#include <check.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "io/answer_fields.h"

#define EVENTS 1
#define LINES 2
#define JSON 4
#define CODED 8
#define DATED 16
#define ACCEL 32

static const struct {
    const char *name, *value;
    int traits;
} fields[] = {
    { "Content-Type", "text/event-stream", EVENTS | LINES },
    { "content-type", "Text/Event-Stream;charset=utf-8", EVENTS | LINES },
    { "Content-Type", "text/event-stream ; x", EVENTS | LINES },
    { "Content-Type", "text/event-streams", 0 },
    { "Content-Type", "text/event-strea", 0 },
    { "Content-Type", "application/x-ndjson", LINES },
    { "Content-Type", "application/ndjson", LINES },
    { "Content-Type", "application/jsonl; a=b", LINES },
    { "Content-Type", "application/x-jsonlines", LINES },
    { "Content-Type", "application/json", JSON },
    { "Content-Type", "APPLICATION/JSON; charset=utf-8", JSON },
    { "Content-Type", "application/problem+json", JSON },
    { "Content-Type", "application/problem+json;x", JSON },
    { "Content-Type", "application/problem+jsons", 0 },
    { "Content-Type", "image/png; a=+json", 0 },
    { "Content-Type", "", 0 },
    { "Content-Type", "+", 0 },
    { "Content-Encoding", "gzip", CODED },
    { "Content-Encoding", "identity", 0 },
    { "Date", "x", DATED },
    { "X-Accel-Buffering", "yes", ACCEL },
    { "Dates", "x", 0 },
};

START_TEST(traits_are_told_by_fields)
{
    struct vwi_span name = { fields[_i].name, strlen(fields[_i].name) }, value = { fields[_i].value, strlen(fields[_i].value) };
    struct vwi_answer answer = { .status = 200, .names = &name, .values = &value, .header_count = 1 };
    struct vwi_answer_traits traits[2];
    struct vwi_text lines = VWI_TEXT_INIT;
    bool json;
    int i;

    vwi_answer_traits(&answer, &traits[0], &json);
    ck_assert(vwi_answer_fields_head(&lines, &answer, &traits[1]));
    for (i = 0; i < 2; i++)
        ck_assert_int_eq((traits[i].events ? EVENTS : 0) | (traits[i].lines ? LINES : 0) | (json ? JSON : 0) | (traits[i].coded ? CODED : 0) |
                             (traits[i].dated ? DATED : 0) | (traits[i].accel ? ACCEL : 0), fields[_i].traits);
    ck_assert_uint_eq(lines.len, name.len + value.len + 4); /* each of these goes on */
    vwi_text_fini(&lines);
}
END_TEST

/* "name: value|name: value|", to keep the tables short; the bytes are cut up where they are. */
#define MOST 16

static size_t cut(char *text, struct vwi_span *names, struct vwi_span *values)
{
    size_t n = 0;
    char *line, *save = NULL;

    for (line = strtok_r(text, "|", &save); line; line = strtok_r(NULL, "|", &save)) {
        char *colon = strchr(line, ':');

        ck_assert_uint_lt(n, MOST);
        names[n] = (struct vwi_span){ line, (size_t)(colon - line) };
        values[n++] = (struct vwi_span){ colon + 2, strlen(colon + 2) };
    }
    return n;
}

static const struct {
    bool trailers;
    const char *given, *wanted;
} passed[] = {
    { false, "", "" },
    { false, "Connection: close|Transfer-Encoding: chunked|TE: x|Upgrade: y|Trailer: z|Keep-Alive: a|Proxy-Connection: b", "" },
    { false, "A: 1|Content-Length: 3|a: 2", "A: 1\r\na: 2\r\n" },
    { false, "A: 1|Connection: keep-alive|B: 2", "A: 1\r\nB: 2\r\n" },
    { false, "A: 1|connection: b ,\ta,,close|B: 2|C: 3", "C: 3\r\n" },
    { false, "Connection: x|Connection: a|A: 1|B: 2", "B: 2\r\n" },
    { false, "Proxy-Authenticate: a|Proxy-Authorization: b|WWW-Authenticate: c", "WWW-Authenticate: c\r\n" },
    { true, "A: 1|Host: x|If-None-Match: y|Set-Cookie: z|Content-Digest: d|Date: e|Age: 1|IF: 2", "A: 1\r\nContent-Digest: d\r\nIF: 2\r\n" },
    { true, "WWW-Authenticate: a|Location: b|Content-Length: 1|Content-Type: c|X-Accel-Buffering: no|X-Vastworker-Reason: d", "" },
};

static bool add(struct vwi_text *t, bool trailers, const struct vwi_answer *answer)
{
    struct vwi_answer_traits traits;

    return trailers ? vwi_answer_fields_trailers(t, answer) : vwi_answer_fields_head(t, answer, &traits);
}

START_TEST(fields_of_one_hop_or_too_late_stay_behind)
{
    char text[300];
    struct vwi_span names[MOST], values[MOST];
    struct vwi_answer answer = { .status = 200, .names = names, .values = values };
    struct vwi_text lines = VWI_TEXT_INIT;

    snprintf(text, sizeof text, "%s", passed[_i].given);
    answer.header_count = cut(text, names, values);
    ck_assert(add(&lines, passed[_i].trailers, &answer));
    ck_assert_str_eq(lines.p ? lines.p : "", passed[_i].wanted);
    ck_assert(passed[_i].trailers || lines.p); /* a head is a text, however empty */
    vwi_text_fini(&lines);
}
END_TEST

START_TEST(no_memory_is_told)
{
    char text[] = "A: 1|B: 2";
    struct vwi_span names[MOST], values[MOST];
    struct vwi_answer answer = { .status = 200, .names = names, .values = values };
    struct vwi_text lines = VWI_TEXT_INIT;

    answer.header_count = cut(text, names, values);
    vwi_mem_fail_nth(0);
    ck_assert(!add(&lines, _i, &answer));
    vwi_mem_fail_never();
    vwi_text_fini(&lines);
    answer.header_count = 0;
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(add(&lines, _i, &answer), _i); /* no trailers need none */
    vwi_mem_fail_never();
    vwi_text_fini(&lines);
}
END_TEST

Suite *answer_fields_suite(void);

Suite *answer_fields_suite(void)
{
    Suite *s = suite_create("answer_fields");
    TCase *tc = tcase_create("answer_fields");

    tcase_add_loop_test(tc, traits_are_told_by_fields, 0, (int)VWI_ARRAY_LEN(fields));
    tcase_add_loop_test(tc, fields_of_one_hop_or_too_late_stay_behind, 0, (int)VWI_ARRAY_LEN(passed));
    tcase_add_loop_test(tc, no_memory_is_told, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}
