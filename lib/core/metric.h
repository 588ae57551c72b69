/*
 * Writes families of metrics, one after the other, as Prometheus text or as JSON. Knows no metric.
 * Open, then for each family: begin, samples, end; then close. Failure is remembered by the text.
 */
#ifndef VWI_CORE_METRIC_H
#define VWI_CORE_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "core/histogram.h"

enum vwi_metric_type { VWI_METRIC_COUNTER, VWI_METRIC_GAUGE, VWI_METRIC_HISTOGRAM, VWI_METRIC_SUMMARY };

struct vwi_metric_pen {
    struct vwi_text *out;
    bool json;
    const char *name; /* of the family; borrowed between begin and end */
    size_t families, samples;
};

struct vwi_metric_label {
    const char *name, *value;
};

const char *vwi_metric_type_name(enum vwi_metric_type type);

void vwi_metric_open(struct vwi_metric_pen *pen, struct vwi_text *out, bool json);
void vwi_metric_begin(struct vwi_metric_pen *pen, const char *name, enum vwi_metric_type type, const char *help);
void vwi_metric_count(struct vwi_metric_pen *pen, const struct vwi_metric_label *labels, size_t label_count, uint64_t value);
void vwi_metric_real(struct vwi_metric_pen *pen, const struct vwi_metric_label *labels, size_t label_count, double value);
void vwi_metric_histogram(struct vwi_metric_pen *pen, const struct vwi_metric_label *labels, size_t label_count,
                          const struct vwi_histogram *h);
void vwi_metric_summary(struct vwi_metric_pen *pen, const struct vwi_metric_label *labels, size_t label_count, double sum,
                        uint64_t count);
void vwi_metric_end(struct vwi_metric_pen *pen);
void vwi_metric_close(struct vwi_metric_pen *pen);

#endif
