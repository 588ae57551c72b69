/* Plugins: the gate and its sentences, instances, hooks that break their contract, and what the first-party plugins count. */
#include <check.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/payload.h"
#include "io/plugin.h"

Suite *plugin_suite(void);

#define OURS VWT_BUILD "/plugins"
#define THEIRS VWT_BUILD "/tests/plugins"

static struct vwi_span span(struct vw_bytes b) { return (struct vwi_span){ b.p, b.len }; }

static enum vw_kind find(struct vw_bytes json, const char *pointer, struct vw_bytes *ret_value)
{
    struct vwi_span value = { NULL, 0 };
    enum vwi_kind kind = vwi_payload_find(span(json), pointer, &value);

    if (kind != VWI_KIND_ABSENT)
        *ret_value = (struct vw_bytes){ value.p, value.len };
    return (enum vw_kind)kind;
}

static size_t count(struct vw_bytes value) { return vwi_payload_count(span(value)); }
static bool number(struct vw_bytes value, double *ret) { return vwi_payload_number(span(value), ret); }

static bool string(struct vw_bytes value, char *out, size_t size, size_t *ret_len)
{
    return vwi_payload_string(span(value), out, size, ret_len);
}

static const struct vwi_plugin_access access_table = { find, count, number, string };

static vw_err load(const char *name, const char *options, struct vwi_plugin **ret, vw_error_t *why)
{
    char *items[] = { (char[]){ "" }, (char[]){ "/nonexistent" }, (char[]){ OURS }, (char[]){ THEIRS } };
    const struct vwi_strings dirs = { items, VWI_ARRAY_LEN(items) };

    return vwi_plugin_load(&dirs, name, options, &access_table, NULL, ret, why);
}

static struct vwi_plugin *loaded(const char *name, const char *options)
{
    struct vwi_plugin *p = NULL;
    vw_error_t why = { 0 };

    ck_assert_msg(load(name, options, &p, &why) == VW_OK, "%s", why.text);
    return p;
}

static struct vwi_span text(const char *s) { return (struct vwi_span){ s, strlen(s) }; }

static void check_text(const vw_error_t *why, const char *expected)
{
    if (!strstr(why->text, expected))
        ck_abort_msg("\"%s\" is not in \"%s\"", expected, why->text);
}

static const struct refusal {
    const char *name, *options;
    vw_err err;
    const char *says[3];
} refusals[] = {
    { "", NULL, VW_E_CONFIG, { "name is empty" } },
    { "../embeddings", NULL, VW_E_CONFIG, { "\"../embeddings\"", "no '/'", "pluginPath" } },
    { "embeddings.so", NULL, VW_E_CONFIG, { "without \".so\"" } },
    { "absent", NULL, VW_E_CONFIG,
      { "\"absent\" not found: put absent.so into", "pluginPath", "/nonexistent, " OURS ", " THEIRS } },
    { "unresolved", NULL, VW_E_CONFIG, { "\"unresolved\" does not load", "nobody_has_this", "linked with all it uses" } },
    { "no_symbol", NULL, VW_E_ABI, { THEIRS "/no_symbol.so exports no vw_plugin_descriptor", "VW_PLUGIN_EXPORT" } },
    { "newer_major", NULL, VW_E_ABI,
      { THEIRS "/newer_major.so is built for plugin interface 2.0, this host has 1.0", "update vastworker, or rebuild" } },
    { "older_major", NULL, VW_E_ABI,
      { THEIRS "/older_major.so is built for plugin interface 0.9, this host has 1.0", "rebuild the plugin with this" } },
    { "newer_minor", NULL, VW_E_ABI,
      { THEIRS "/newer_minor.so is built for plugin interface 1.1, this host has 1.0", "update vastworker, or rebuild" } },
    { "too_short", NULL, VW_E_ABI, { THEIRS "/too_short.so says it has 16 bytes", "interface 1.0", "VW_PLUGIN_HEAD" } },
    { "torn", NULL, VW_E_ABI, { THEIRS "/torn.so says it has ", "no size of interface 1.0", "VW_PLUGIN_HEAD" } },
    { "nameless", NULL, VW_E_ABI, { THEIRS "/nameless.so has no name or no version", "VW_PLUGIN_HEAD" } },
    { "odd_flags", NULL, VW_E_ABI, { THEIRS "/odd_flags.so has flags 0x10 that interface 1.0 does not know" } },
    { "embeddings", "{\"a\":1}", VW_E_CONFIG, { "\"embeddings\"", OURS "/embeddings.so", "takes no options; remove them" } },
    { "embeddings", "[]", VW_E_CONFIG, { "options must be an object" } },
    { "completions", "{\"defualt\":1}", VW_E_CONFIG, { "\"completions\"", "unknown option; the only one is \"default\"" } },
    { "completions", "{\"default\":1,\"x\":2}", VW_E_CONFIG, { "unknown option; the only one is \"default\"" } },
    { "completions", "{\"default\":0}", VW_E_CONFIG, { "option \"default\": expected tokens > 0" } },
    { "completions", "{\"default\":\"many\"}", VW_E_CONFIG, { "option \"default\": expected tokens > 0" } },
    { "every_hook", NULL, VW_E_CONFIG,
      { "\"every_hook\"", THEIRS "/every_hook.so", "does not open: option \"weight\" is required" } },
    { "misbehaves", "{\"silent\":1}", VW_E_IO, { "\"misbehaves\"", "does not open: it gives no reason" } },
};

START_TEST(what_is_no_good_plugin_is_refused_with_a_sentence)
{
    const struct refusal *r = &refusals[_i];
    struct vwi_plugin *p = NULL;
    vw_error_t why = { 0 };
    size_t i;

    ck_assert_int_eq(load(r->name, r->options, &p, &why), r->err);
    ck_assert_int_eq(why.code, r->err);
    ck_assert_ptr_null(p);
    for (i = 0; i < VWI_ARRAY_LEN(r->says) && r->says[i]; i++)
        check_text(&why, r->says[i]);
    ck_assert_ptr_null(strchr(why.text, '\n'));
}
END_TEST

START_TEST(no_plugin_path_at_all_is_a_sentence_too)
{
    const struct vwi_strings none = { NULL, 0 };
    struct vwi_plugin *p = NULL;
    vw_error_t why = { 0 };

    ck_assert_int_eq(vwi_plugin_load(&none, "embeddings", NULL, &access_table, NULL, &p, &why), VW_E_CONFIG);
    check_text(&why, "(searched: nothing)");
}
END_TEST

START_TEST(the_first_directory_that_has_the_file_wins)
{
    char *items[] = { (char[]){ THEIRS }, (char[]){ OURS "/" }, (char[]){ OURS } };
    const struct vwi_strings dirs = { items, VWI_ARRAY_LEN(items) };
    struct vwi_plugin *p = NULL;
    vw_error_t why = { 0 };

    ck_assert_int_eq(vwi_plugin_load(&dirs, "rerank", NULL, &access_table, NULL, &p, &why), VW_OK);
    ck_assert_str_eq(vwi_plugin_path(p), OURS "//rerank.so");
    ck_assert_str_eq(vwi_plugin_name(p), "rerank");
    ck_assert_str_eq(vwi_plugin_version(p), "0.1.0");
    vwi_plugin_close(p);
}
END_TEST

START_TEST(closing_nothing_is_allowed)
{
    vwi_plugin_close(NULL);
    vwi_plugin_free(NULL);
}
END_TEST

/* workload < 0: weigh fails, and says so. */
static const struct weighing {
    const char *plugin, *options, *payload;
    double workload;
    const char *says;
} weighings[] = {
    { "embeddings", NULL, "{\"input\":\"one text\"}", 1, NULL },
    { "embeddings", NULL, "{\"input\":\"\"}", 1, NULL },
    { "embeddings", NULL, "{\"model\":\"m\",\"input\":[\"a\",\"b\",\"c\"]}", 3, NULL },
    { "embeddings", NULL, "{\"input\":[\"a]\\\"\",\"b,c\"]}", 2, NULL },
    { "embeddings", NULL, "{\"input\":[ 15339, 1917 ]}", 1, NULL },
    { "embeddings", NULL, "{\"input\":[[15339,1917],[1],[2]]}", 3, NULL },
    { "embeddings", NULL, "{\"input\":[{\"image\":\"x\"},{\"text\":[1,2]}]}", 2, NULL },
    { "embeddings", NULL, "{\"input\":[]}", 0, NULL },
    { "embeddings", NULL, "{\"input\":[\"a\"],\"input\":[\"a\",\"b\"]}", 2, NULL },
    { "embeddings", NULL, "{\"inputs\":[\"a\"]}", -1, "\"input\" is neither a text nor a list" },
    { "embeddings", NULL, "{\"input\":null}", -1, "\"input\" is neither" },
    { "embeddings", NULL, "{\"input\":{\"0\":1}}", -1, "\"input\" is neither" },
    { "embeddings", NULL, "{\"input\":5}", -1, "\"input\" is neither" },
    { "embeddings", NULL, "[1,2]", -1, "\"input\" is neither" },
    { "embeddings", NULL, "\"text\"", -1, "\"input\" is neither" },
    { "completions", NULL, "{\"prompt\":\"x\",\"max_tokens\":500}", 500, NULL },
    { "completions", NULL, "{\"max_completion_tokens\":31}", 31, NULL },
    { "completions", NULL, "{\"n_predict\":12.5}", 12.5, NULL },
    { "completions", NULL, "{\"n_predict\":1,\"max_completion_tokens\":2,\"max_tokens\":3}", 3, NULL },
    { "completions", NULL, "{\"max_tokens\":null,\"max_completion_tokens\":2}", 2, NULL },
    { "completions", NULL, "{\"max_tokens\":0,\"n_predict\":9}", 9, NULL },
    { "completions", NULL, "{\"n_predict\":-1}", 256, NULL },
    { "completions", NULL, "{\"max_tokens\":\"500\"}", 256, NULL },
    { "completions", NULL, "{\"options\":{\"max_tokens\":5}}", 256, NULL },
    { "completions", NULL, "{\"max_tokens\":1e999}", 256, NULL },
    { "completions", NULL, "{}", 256, NULL },
    { "completions", NULL, "[]", 256, NULL },
    { "completions", "{}", "{}", 256, NULL },
    { "completions", " {\"default\": 40.5} ", "{}", 40.5, NULL },
    { "completions", "{\"default\":40}", "{\"max_tokens\":7}", 7, NULL },
    { "rerank", NULL, "{\"query\":\"q\",\"documents\":[\"a\",\"b\"]}", 2, NULL },
    { "rerank", NULL, "{\"query\":\"q\",\"texts\":[\"a\",\"b\",{\"text\":\"c\"}]}", 3, NULL },
    { "rerank", NULL, "{\"texts\":[\"a\",\"b\"],\"documents\":[\"a\"]}", 1, NULL },
    { "rerank", NULL, "{\"texts\":[\"a\",\"b\"],\"documents\":null}", 2, NULL },
    { "rerank", NULL, "{\"documents\":[]}", 0, NULL },
    { "rerank", NULL, "{\"documents\":\"a\"}", -1, "neither \"documents\" nor \"texts\" is a list" },
    { "rerank", NULL, "{}", -1, "neither \"documents\" nor \"texts\"" },
};

START_TEST(first_party_plugins_count_what_the_platform_is_told)
{
    const struct weighing *w = &weighings[_i];
    struct vwi_plugin *p = loaded(w->plugin, w->options);
    vw_error_t why = { 0 };
    double got = 12345;
    vw_err err = vwi_plugin_weigh(p, text(w->payload), &got, &why);

    if (w->workload < 0) {
        ck_assert_int_eq(err, VW_E_ENVELOPE);
        ck_assert_double_eq(got, 12345);
        check_text(&why, w->says);
    } else {
        ck_assert_msg(err == VW_OK, "%s", why.text);
        ck_assert_double_eq_tol(got, w->workload, DBL_EPSILON);
    }
    vwi_plugin_close(p);
}
END_TEST

START_TEST(first_party_plugins_weigh_and_do_nothing_else)
{
    static const char *const names[] = { "embeddings", "completions", "rerank" };
    struct vwi_plugin *p = loaded(names[_i], NULL);
    struct vwi_span parsed;
    vw_error_t why = { 0 };
    void *owned;

    ck_assert(vwi_plugin_can_weigh(p) && !vwi_plugin_can_parse(p) && !vwi_plugin_can_sample(p) && !vwi_plugin_blocks(p));
    ck_assert_int_eq(vwi_plugin_parse(p, text("{}"), &parsed, &owned, &why), VW_E_STATE);
    check_text(&why, "offers no parse");
    vwi_plugin_close(p);
}
END_TEST

START_TEST(one_plugin_with_two_sets_of_options_is_two_instances)
{
    struct vwi_plugin *a = loaded("completions", "{\"default\":10}"), *b = loaded("completions", "{\"default\":20}");
    double wa = 0, wb = 0;

    ck_assert_int_eq(vwi_plugin_weigh(a, text("{}"), &wa, NULL), VW_OK);
    vwi_plugin_close(a);
    ck_assert_int_eq(vwi_plugin_weigh(b, text("{}"), &wb, NULL), VW_OK);
    vwi_plugin_close(b);
    ck_assert_double_eq(wa, 10);
    ck_assert_double_eq(wb, 20);
}
END_TEST

START_TEST(different_plugins_live_side_by_side)
{
    struct vwi_plugin *a = loaded("embeddings", NULL), *b = loaded("rerank", NULL);
    struct vwi_span payload = text("{\"input\":[1],\"documents\":[1,2]}");
    double wa = 0, wb = 0;

    ck_assert_int_eq(vwi_plugin_weigh(a, payload, &wa, NULL), VW_OK);
    ck_assert_int_eq(vwi_plugin_weigh(b, payload, &wb, NULL), VW_OK);
    ck_assert_double_eq(wa, 1);
    ck_assert_double_eq(wb, 2);
    vwi_plugin_close(a);
    vwi_plugin_close(b);
}
END_TEST

START_TEST(an_older_shorter_descriptor_offers_what_it_names)
{
    struct vwi_plugin *p = loaded("older", NULL);
    double workload = 0;

    ck_assert(vwi_plugin_can_weigh(p) && !vwi_plugin_can_parse(p) && !vwi_plugin_can_sample(p));
    ck_assert_int_eq(vwi_plugin_weigh(p, text("[1,2]"), &workload, NULL), VW_OK);
    ck_assert_double_eq(workload, 5);
    ck_assert_str_eq(vwi_plugin_version(p), "0.9.0");
    vwi_plugin_close(p);
}
END_TEST

START_TEST(an_unknown_tail_is_left_alone)
{
    struct vwi_plugin *p = loaded("longer", "{}");
    double workload = 0;

    ck_assert(vwi_plugin_can_weigh(p) && !vwi_plugin_can_sample(p));
    ck_assert_int_eq(vwi_plugin_weigh(p, text("{}"), &workload, NULL), VW_OK);
    ck_assert_double_eq(workload, 7);
    vwi_plugin_close(p);
}
END_TEST

START_TEST(a_plugin_that_only_handles_loads_and_rests)
{
    struct vwi_plugin *p = loaded("handle_only", NULL);
    vw_error_t why = { 0 };
    double workload;

    ck_assert(!vwi_plugin_can_weigh(p) && !vwi_plugin_can_parse(p) && !vwi_plugin_can_sample(p));
    ck_assert(vwi_plugin_blocks(p));
    ck_assert_int_eq(vwi_plugin_weigh(p, text("{}"), &workload, &why), VW_E_STATE);
    check_text(&why, "offers no weigh");
    vwi_plugin_close(p);
}
END_TEST

struct lines {
    char text[4][256];
    vw_log_level_t level[4];
    size_t count;
};

static void on_line(void *arg, vw_log_level_t level, const char *line)
{
    struct lines *l = arg;

    ck_assert_uint_lt(l->count, VWI_ARRAY_LEN(l->text));
    l->level[l->count] = level;
    snprintf(l->text[l->count++], sizeof l->text[0], "%s", line);
}

START_TEST(a_plugin_logs_under_its_own_name_one_line_at_a_time)
{
    char *items[] = { (char[]){ THEIRS } };
    const struct vwi_strings dirs = { items, 1 };
    struct lines lines = { .count = 0 };
    const struct vwi_log log = { .level = VW_LOG_INFO, .fn = on_line, .arg = &lines };
    struct vwi_plugin *p = NULL;

    ck_assert_int_eq(vwi_plugin_load(&dirs, "every_hook", "{\"weight\":1}", &access_table, &log, &p, NULL), VW_OK);
    vwi_plugin_close(p);
    ck_assert_uint_eq(lines.count, 2);
    ck_assert_int_eq(lines.level[0], VW_LOG_INFO);
    ck_assert_ptr_nonnull(strstr(lines.text[0], "plugin every_hook: opened"));
    ck_assert_ptr_null(strstr(lines.text[0], "cut"));
    ck_assert_int_eq(lines.level[1], VW_LOG_WARN);
    ck_assert_ptr_nonnull(strstr(lines.text[1], "plugin every_hook: closed"));
}
END_TEST

START_TEST(parse_gives_a_part_of_the_payload_without_a_copy)
{
    struct vwi_plugin *p = loaded("every_hook", "{\"weight\":1}");
    struct vwi_span payload = text("{\"inner\": {\"a\":[1]} }"), got = { NULL, 0 };
    void *owned = NULL;

    ck_assert_int_eq(vwi_plugin_parse(p, payload, &got, &owned, NULL), VW_OK);
    ck_assert(vwi_span_is(got, "{\"a\":[1]}"));
    ck_assert_ptr_eq(got.p, payload.p + 10);
    ck_assert_ptr_null(owned);
    vwi_plugin_close(p);
}
END_TEST

START_TEST(parse_hands_over_a_buffer)
{
    struct vwi_plugin *p = loaded("every_hook", "{\"weight\":1,\"label\":\"a label that is far too long\"}");
    struct vwi_span got = { NULL, 0 };
    void *owned = NULL;

    ck_assert_int_eq(vwi_plugin_parse(p, text("[1]"), &got, &owned, NULL), VW_OK);
    ck_assert(vwi_span_is(got, "{\"a label that is\":[1]}")); /* cut to the plugin's own 16 bytes */
    ck_assert_ptr_nonnull(owned);
    vwi_plugin_close(p);
    vwi_plugin_free(owned); /* outlives the plugin */
}
END_TEST

START_TEST(parse_refuses_in_its_own_words)
{
    struct vwi_plugin *p = loaded("every_hook", "{\"weight\":1}");
    struct vwi_span got = { NULL, 0 };
    vw_error_t why = { 0 };
    void *owned = NULL;

    ck_assert_int_eq(vwi_plugin_parse(p, text("null"), &got, &owned, &why), VW_E_ENVELOPE);
    ck_assert_str_eq(why.text, "nothing to do");
    vwi_plugin_close(p);
}
END_TEST

START_TEST(samples_are_handed_over)
{
    struct vwi_plugin *p = loaded("every_hook", "{\"weight\":1}");
    char *sample = NULL;

    ck_assert(vwi_plugin_can_sample(p));
    ck_assert_int_eq(vwi_plugin_sample(p, 7, &sample, NULL), VW_OK);
    ck_assert_str_eq(sample, "{\"n\":7}");
    vwi_plugin_free(sample);
    vwi_plugin_close(p);
}
END_TEST

static const struct breach {
    char hook; /* w, p or s */
    const char *payload;
    vw_err err;
    const char *says;
} breaches[] = {
    { 'w', "\"negative\"", VW_E_ARG, "weigh said -1; a workload is finite and not negative" },
    { 'w', "\"infinite\"", VW_E_ARG, "weigh said inf" },
    { 'w', "\"nan\"", VW_E_ARG, "weigh said " },
    { 'w', "\"nothing\"", VW_E_ARG, "weigh said " },
    { 'w', "\"silent\"", VW_E_PARSE, "\"misbehaves\": weigh failed and gives no reason" },
    { 'p', "\"before\"", VW_E_ARG, "neither a part of the payload nor handed over" },
    { 'p', "\"longer\"", VW_E_ARG, "neither a part of the payload" },
    { 'p', "\"after\"", VW_E_ARG, "neither a part of the payload" },
    { 'p', "\"elsewhere\"", VW_E_ARG, "neither a part of the payload" },
    { 'p', "\"nothing\"", VW_E_ARG, "neither a part of the payload" },
    { 'p', "\"null\"", VW_E_ARG, "neither a part of the payload" },
    { 'p', "\"silent\"", VW_E_PARSE, "parse failed and gives no reason" },
    { 's', "", VW_E_ARG, "sample returned nothing" },
    { 's', "1", VW_E_PARSE, "sample failed and gives no reason" },
};

START_TEST(a_broken_contract_is_an_error_not_a_result)
{
    const struct breach *b = &breaches[_i];
    struct vwi_plugin *p = loaded("misbehaves", NULL);
    struct vwi_span got = { "untouched", 9 };
    vw_error_t why = { 0 };
    double workload = 12345;
    char *sample = NULL;
    void *owned = NULL;
    vw_err err;

    if (b->hook == 'w')
        err = vwi_plugin_weigh(p, text(b->payload), &workload, &why);
    else if (b->hook == 'p')
        err = vwi_plugin_parse(p, text(b->payload), &got, &owned, &why);
    else
        err = vwi_plugin_sample(p, b->payload[0] ? 1 : 0, &sample, &why);
    ck_assert_int_eq(err, b->err);
    check_text(&why, b->says);
    ck_assert_double_eq(workload, 12345);
    ck_assert(vwi_span_is(got, "untouched") && !owned && !sample);
    vwi_plugin_close(p);
}
END_TEST

/* The plugin's own memory comes from the host, so its failures are in the walk too. */
START_TEST(loading_survives_each_failed_allocation)
{
    static const char *const names[] = { "completions", "absent" };
    struct vwi_plugin *p = NULL;
    vw_err err = VW_E_NOMEM;
    vw_error_t why;
    unsigned n;

    for (n = 0; err == VW_E_NOMEM; n++) {
        memset(&why, 0, sizeof why);
        vwi_mem_fail_nth(n);
        err = load(names[_i], NULL, &p, &why);
        vwi_mem_fail_never();
        ck_assert_uint_lt(n, 50);
        if (err == VW_E_NOMEM) {
            ck_assert_ptr_null(p);
            check_text(&why, "out of memory");
        }
    }
    ck_assert_int_eq(err, _i ? VW_E_CONFIG : VW_OK);
    ck_assert_uint_gt(n, 3);
    vwi_plugin_close(p);
}
END_TEST

START_TEST(a_hook_without_memory_fails_cleanly)
{
    struct vwi_plugin *p = loaded("every_hook", "{\"weight\":1}");
    struct vwi_span got = { NULL, 0 };
    vw_error_t why = { 0 };
    void *owned = NULL;

    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_plugin_parse(p, text("[1]"), &got, &owned, &why), VW_E_NOMEM);
    vwi_mem_fail_never();
    check_text(&why, "out of memory");
    ck_assert_ptr_null(owned);
    vwi_plugin_close(p);
}
END_TEST

Suite *plugin_suite(void)
{
    Suite *s = suite_create("plugin");
    TCase *gate = tcase_create("gate"), *hooks = tcase_create("hooks");

    tcase_add_loop_test(gate, what_is_no_good_plugin_is_refused_with_a_sentence, 0, VWI_ARRAY_LEN(refusals));
    tcase_add_test(gate, no_plugin_path_at_all_is_a_sentence_too);
    tcase_add_test(gate, the_first_directory_that_has_the_file_wins);
    tcase_add_test(gate, closing_nothing_is_allowed);
    tcase_add_test(gate, one_plugin_with_two_sets_of_options_is_two_instances);
    tcase_add_test(gate, different_plugins_live_side_by_side);
    tcase_add_test(gate, an_older_shorter_descriptor_offers_what_it_names);
    tcase_add_test(gate, an_unknown_tail_is_left_alone);
    tcase_add_test(gate, a_plugin_that_only_handles_loads_and_rests);
    tcase_add_loop_test(gate, loading_survives_each_failed_allocation, 0, 2);
    suite_add_tcase(s, gate);
    tcase_add_loop_test(hooks, first_party_plugins_count_what_the_platform_is_told, 0, VWI_ARRAY_LEN(weighings));
    tcase_add_loop_test(hooks, first_party_plugins_weigh_and_do_nothing_else, 0, 3);
    tcase_add_test(hooks, a_plugin_logs_under_its_own_name_one_line_at_a_time);
    tcase_add_test(hooks, parse_gives_a_part_of_the_payload_without_a_copy);
    tcase_add_test(hooks, parse_hands_over_a_buffer);
    tcase_add_test(hooks, parse_refuses_in_its_own_words);
    tcase_add_test(hooks, samples_are_handed_over);
    tcase_add_loop_test(hooks, a_broken_contract_is_an_error_not_a_result, 0, VWI_ARRAY_LEN(breaches));
    tcase_add_test(hooks, a_hook_without_memory_fails_cleanly);
    suite_add_tcase(s, hooks);
    return s;
}
