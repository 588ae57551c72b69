/* Two handlers may serve one route with different methods: they share a row, or the samples of a metric would repeat. */
#include "core/stats.h"

#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"

const char *vwi_outcome_name(enum vwi_outcome outcome)
{
    static const char *const names[VWI_OUTCOMES] = {
        [VWI_OUTCOME_SERVED] = "served",
        [VWI_OUTCOME_ERRORED] = "errored",
        [VWI_OUTCOME_CANCELLED] = "cancelled",
        [VWI_OUTCOME_QUEUE_TIMEOUT] = "queue_timeout",
    };

    return outcome < VWI_OUTCOMES ? names[outcome] : "";
}

static size_t find_row(const struct vwi_stats *s, const char *name)
{
    size_t row = 0;

    while (row < s->row_count && strcmp(s->rows[row].name, name) != 0)
        row++;
    return row;
}

static bool add_row(struct vwi_stats *s, const char *name)
{
    struct vwi_route_stats *row = &s->rows[s->row_count];

    row->name = vwi_strdup(name);
    if (!row->name)
        return false;
    row->reasons = s->counts + s->row_count * s->reason_count;
    vwi_histogram_init_request(&row->request);
    vwi_histogram_init_request(&row->queue);
    vwi_histogram_init_request(&row->first_byte);
    s->row_count++;
    return true;
}

static bool copy_names(struct vwi_stats *s, const struct vwi_ledger_names *names)
{
    size_t i;

    for (i = 0; i < names->reason_count; i++)
        if (!(s->reasons[i] = vwi_strdup(names->reasons[i])))
            return false;
    if (!add_row(s, "none"))
        return false;
    for (i = 0; i < names->route_count; i++) {
        s->row_of[i] = find_row(s, names->routes[i]);
        if (s->row_of[i] == s->row_count && !add_row(s, names->routes[i]))
            return false;
    }
    return true;
}

vw_err vwi_stats_init(struct vwi_stats *s, const struct vwi_ledger_names *names)
{
    size_t rows = names->route_count + 1;

    memset(s, 0, sizeof(*s));
    s->route_count = names->route_count;
    s->reason_count = names->reason_count;
    s->rows = vwi_zalloc(rows * sizeof(*s->rows));
    s->row_of = vwi_zalloc(rows * sizeof(*s->row_of));
    s->reasons = vwi_zalloc(s->reason_count * sizeof(*s->reasons));
    s->counts = vwi_zalloc(rows * s->reason_count * sizeof(*s->counts));
    if (s->rows && s->row_of && s->reasons && s->counts && copy_names(s, names))
        return VW_OK;
    vwi_stats_fini(s);
    return VW_E_NOMEM;
}

void vwi_stats_fini(struct vwi_stats *s)
{
    size_t i;

    for (i = 0; i < s->row_count; i++)
        vwi_free(s->rows[i].name);
    for (i = 0; s->reasons && i < s->reason_count; i++)
        vwi_free(s->reasons[i]);
    vwi_free(s->rows);
    vwi_free(s->row_of);
    vwi_free(s->reasons);
    vwi_free(s->counts);
    memset(s, 0, sizeof(*s));
}

struct vwi_route_stats *vwi_stats_row(struct vwi_stats *s, size_t route)
{
    return &s->rows[route < s->route_count ? s->row_of[route] : 0];
}
