/*
 * JSON is {"name": {"type", "help", "samples": [{"labels": {}, "value"}]}}; a histogram has "buckets", "sum" and "count" in
 * place of "value".
 */
#include "core/metric.h"

#include "core/literal.h"

const char *vwi_metric_type_name(enum vwi_metric_type type)
{
    static const char *const names[] = { "counter", "gauge", "histogram", "summary" };

    return names[type];
}

void vwi_metric_open(struct vwi_metric_pen *pen, struct vwi_text *out, bool json)
{
    *pen = (struct vwi_metric_pen){ out, json, "", 0, 0 };
    if (json)
        vwi_text_adds(out, "{");
}

void vwi_metric_begin(struct vwi_metric_pen *pen, const char *name, enum vwi_metric_type type, const char *help)
{
    const char *word = vwi_metric_type_name(type);

    pen->name = name;
    pen->samples = 0;
    if (pen->json) {
        vwi_text_addf(pen->out, "%s\"%s\":{\"type\":\"%s\",\"help\":", pen->families ? "," : "", name, word);
        vwi_literal_string(pen->out, help);
        vwi_text_adds(pen->out, ",\"samples\":[");
    } else {
        vwi_text_addf(pen->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, word);
    }
    pen->families++;
}

static void add_labels(struct vwi_metric_pen *pen, const struct vwi_metric_label *labels, size_t count)
{
    size_t i;

    if (pen->json)
        vwi_text_addf(pen->out, "%s{\"labels\":{", pen->samples++ ? "," : "");
    for (i = 0; i < count; i++) {
        vwi_text_addf(pen->out, pen->json ? "%s\"%s\":" : "%s%s=", i ? "," : "", labels[i].name);
        if (pen->json)
            vwi_literal_string(pen->out, labels[i].value);
        else
            vwi_literal_label(pen->out, labels[i].value);
    }
    if (pen->json)
        vwi_text_adds(pen->out, "},");
}

/* One line of text up to its value: name, labels, and le where given. */
static void begin_line(struct vwi_metric_pen *pen, const char *suffix, const struct vwi_metric_label *labels, size_t count,
                       const char *le)
{
    vwi_text_addf(pen->out, "%s%s", pen->name, suffix);
    if (count > 0 || le) {
        vwi_text_adds(pen->out, "{");
        add_labels(pen, labels, count);
        if (le)
            vwi_text_addf(pen->out, "%sle=\"%s\"", count ? "," : "", le);
        vwi_text_adds(pen->out, "}");
    }
    vwi_text_adds(pen->out, " ");
}

static void begin_sample(struct vwi_metric_pen *pen, const struct vwi_metric_label *labels, size_t count)
{
    if (pen->json) {
        add_labels(pen, labels, count);
        vwi_text_adds(pen->out, "\"value\":");
    } else {
        begin_line(pen, "", labels, count, NULL);
    }
}

void vwi_metric_count(struct vwi_metric_pen *pen, const struct vwi_metric_label *labels, size_t label_count, uint64_t value)
{
    begin_sample(pen, labels, label_count);
    vwi_text_addf(pen->out, pen->json ? "%llu}" : "%llu\n", (unsigned long long)value);
}

void vwi_metric_real(struct vwi_metric_pen *pen, const struct vwi_metric_label *labels, size_t label_count, double value)
{
    begin_sample(pen, labels, label_count);
    vwi_literal_number(pen->out, value);
    vwi_text_adds(pen->out, pen->json ? "}" : "\n");
}

static void add_totals(struct vwi_metric_pen *pen, const struct vwi_metric_label *labels, size_t label_count, double sum,
                       uint64_t count)
{
    if (pen->json) {
        vwi_text_adds(pen->out, "\"sum\":");
        vwi_literal_number(pen->out, sum);
        vwi_text_addf(pen->out, ",\"count\":%llu}", (unsigned long long)count);
        return;
    }
    begin_line(pen, "_sum", labels, label_count, NULL);
    vwi_literal_number(pen->out, sum);
    vwi_text_adds(pen->out, "\n");
    begin_line(pen, "_count", labels, label_count, NULL);
    vwi_text_addf(pen->out, "%llu\n", (unsigned long long)count);
}

void vwi_metric_histogram(struct vwi_metric_pen *pen, const struct vwi_metric_label *labels, size_t label_count,
                          const struct vwi_histogram *h)
{
    struct vwi_text bound = VWI_TEXT_INIT;
    uint64_t below = 0;
    size_t i;

    if (pen->json) {
        add_labels(pen, labels, label_count);
        vwi_text_adds(pen->out, "\"buckets\":[");
    }
    for (i = 0; i <= h->bound_count; i++) {
        below += h->counts[i];
        vwi_text_clear(&bound);
        if (i == h->bound_count)
            vwi_text_adds(&bound, "+Inf");
        else
            vwi_literal_number(&bound, h->bounds[i]);
        if (bound.failed) {
            pen->out->failed = true;
            break;
        }
        if (pen->json) {
            vwi_text_addf(pen->out, "%s{\"le\":\"%s\",\"count\":", i ? "," : "", bound.p);
        } else {
            begin_line(pen, "_bucket", labels, label_count, bound.p);
        }
        vwi_text_addf(pen->out, pen->json ? "%llu}" : "%llu\n", (unsigned long long)below);
    }
    if (pen->json)
        vwi_text_adds(pen->out, "],");
    add_totals(pen, labels, label_count, h->sum, h->count);
    vwi_text_fini(&bound);
}

void vwi_metric_summary(struct vwi_metric_pen *pen, const struct vwi_metric_label *labels, size_t label_count, double sum,
                        uint64_t count)
{
    if (pen->json)
        add_labels(pen, labels, label_count);
    add_totals(pen, labels, label_count, sum, count);
}

void vwi_metric_end(struct vwi_metric_pen *pen)
{
    if (pen->json)
        vwi_text_adds(pen->out, "]}");
}

void vwi_metric_close(struct vwi_metric_pen *pen)
{
    if (pen->json)
        vwi_text_adds(pen->out, "}");
}
