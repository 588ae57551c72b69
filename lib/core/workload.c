/* Weighing by rule. Reasons name the pointer, never what the payload holds. */
#include "core/workload.h"

#include <math.h>

#include "base/err.h"
#include "core/payload.h"

bool vwi_workload_valid(double workload) { return isfinite(workload) && workload >= 0; }

static double fall_back(bool *ret_fallback)
{
    *ret_fallback = true;
    return VWI_WORKLOAD_FALLBACK;
}

static double weigh_field(const struct vwi_workload_conf *conf, struct vwi_span payload, bool *ret_fallback, vw_error_t *why)
{
    struct vwi_span value;
    double number;

    if (vwi_payload_find(payload, conf->pointer, &value) == VWI_KIND_NUMBER) {
        if (vwi_payload_number(value, &number) && vwi_workload_valid(number))
            return number;
        vwi_fail(why, VW_E_ENVELOPE, "workload field \"%s\" is negative or too large", conf->pointer);
        return fall_back(ret_fallback);
    }
    if (vwi_workload_valid(conf->value))
        return conf->value;
    vwi_fail(why, VW_E_ENVELOPE, "workload field \"%s\" is absent or no number of 0 or more, and has no default", conf->pointer);
    return fall_back(ret_fallback);
}

static double weigh_count(const struct vwi_workload_conf *conf, struct vwi_span payload, bool *ret_fallback, vw_error_t *why)
{
    struct vwi_span value;

    switch (vwi_payload_find(payload, conf->pointer, &value)) {
    case VWI_KIND_ARRAY:
    case VWI_KIND_OBJECT:
        return (double)vwi_payload_count(value);
    case VWI_KIND_BOOL:
    case VWI_KIND_NUMBER:
    case VWI_KIND_STRING:
        return 1.0;
    case VWI_KIND_ABSENT:
    case VWI_KIND_NULL:
        break;
    }
    vwi_fail(why, VW_E_ENVELOPE, "workload count \"%s\" is absent", conf->pointer);
    return fall_back(ret_fallback);
}

/* For the kinds whose numbers come from the configuration. */
static double checked(double workload, bool *ret_fallback, vw_error_t *why)
{
    if (vwi_workload_valid(workload))
        return workload;
    vwi_fail(why, VW_E_CONFIG, "the configured workload is not finite or below 0");
    return fall_back(ret_fallback);
}

double vwi_workload_weigh(const struct vwi_workload_conf *conf, struct vwi_span payload, size_t body_bytes, bool *ret_fallback,
                          vw_error_t *why)
{
    *ret_fallback = false;
    switch (conf->kind) {
    case VWI_WORKLOAD_CONSTANT:
        return checked(conf->value, ret_fallback, why);
    case VWI_WORKLOAD_BYTES:
        return checked(conf->value > 0 ? (double)body_bytes / conf->value : NAN, ret_fallback, why);
    case VWI_WORKLOAD_FIELD:
        return weigh_field(conf, payload, ret_fallback, why);
    case VWI_WORKLOAD_COUNT:
        return weigh_count(conf, payload, ret_fallback, why);
    case VWI_WORKLOAD_PLUGIN:
        break;
    }
    vwi_fail(why, VW_E_STATE, "the plugin \"%s\" was not asked", conf->plugin ? conf->plugin : "");
    return fall_back(ret_fallback);
}
