/* The same lines and the same patterns as flow/startup has, so what is said here is what will be. */
#include "flow/trial.h"

#include "base/err.h"
#include "base/text.h"
#include "core/pattern.h"
#include "io/lines.h"

#define SHOWN_LINE 200
#define SHOWN_PATTERN 100

struct trial {
    struct vwi_patterns *patterns;
    struct vwi_lines lines;
    void (*fn)(void *arg, const char *line);
    void *arg;
    uint64_t hits[VWI_PATTERN_KINDS], loaded_at; /* 0: not yet */
    bool no_memory;
};

static void tell(struct trial *t, struct vwi_text *text)
{
    if (text->failed)
        t->no_memory = true;
    else
        t->fn(t->arg, text->p);
    vwi_text_fini(text);
}

static void tell_hit(struct trial *t, enum vwi_pattern_kind kind, const char *pattern, const char *line, size_t len)
{
    struct vwi_text text = VWI_TEXT_INIT;

    vwi_text_addf(&text, "line %llu: %s by \"", (unsigned long long)t->lines.count, vwi_pattern_kind_name(kind));
    vwi_text_add_shown(&text, pattern, strlen(pattern), SHOWN_PATTERN);
    vwi_text_adds(&text, "\": ");
    vwi_text_add_shown(&text, line, len, SHOWN_LINE);
    if (len > SHOWN_LINE)
        vwi_text_adds(&text, "...");
    tell(t, &text);
}

static void on_line(void *arg, const char *line, size_t len)
{
    struct trial *t = arg;
    struct vwi_pattern_hits hits;
    int kind;

    if (!vwi_patterns_match(t->patterns, (struct vwi_span){ line, len }, &hits))
        return;
    for (kind = 0; kind < VWI_PATTERN_KINDS; kind++) {
        if (!hits.text[kind])
            continue;
        t->hits[kind]++;
        tell_hit(t, (enum vwi_pattern_kind)kind, hits.text[kind], line, len);
    }
    if (hits.text[VWI_PATTERN_LOAD] && !t->loaded_at)
        t->loaded_at = t->lines.count;
}

static void tell_sum(struct trial *t, const struct vwi_ready_conf *conf)
{
    struct vwi_text text = VWI_TEXT_INIT;

    vwi_text_addf(&text, "%llu lines, %llu of them cut: %llu load, %llu error, %llu info", (unsigned long long)t->lines.count,
                  (unsigned long long)t->lines.long_count, (unsigned long long)t->hits[VWI_PATTERN_LOAD],
                  (unsigned long long)t->hits[VWI_PATTERN_ERROR], (unsigned long long)t->hits[VWI_PATTERN_INFO]);
    if (t->loaded_at)
        vwi_text_addf(&text, "; the model is loaded at line %llu", (unsigned long long)t->loaded_at);
    else if (conf->on_load.count)
        vwi_text_adds(&text, "; no load pattern is in it, so the worker would go on waiting");
    else
        vwi_text_adds(&text, "; there are no load patterns: set logActionConfig.onLoad or logActionConfig.preset");
    tell(t, &text);
}

vw_err vwi_trial_run(const struct vwi_ready_conf *conf, const char *path, void (*fn)(void *arg, const char *line), void *arg, bool *ret_loaded,
                     vw_error_t *why)
{
    static const struct vwi_lines_events events = { on_line, NULL };
    struct trial t = { .fn = fn, .arg = arg };
    vw_err err = vwi_patterns_create(&conf->on_load, &conf->on_error, &conf->on_info, &t.patterns, why);

    if (err == VW_OK && vwi_lines_init(&t.lines, &events, &t) != VW_OK)
        err = vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
    if (err == VW_OK)
        err = vwi_lines_read(&t.lines, path, why);
    if (err == VW_OK)
        tell_sum(&t, conf);
    if (err == VW_OK && t.no_memory)
        err = vwi_fail(why, VW_E_NOMEM, "%s: out of memory", path);
    if (err == VW_OK)
        *ret_loaded = t.loaded_at > 0;
    vwi_lines_fini(&t.lines);
    vwi_patterns_destroy(t.patterns);
    return err;
}
