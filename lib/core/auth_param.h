/* The six parameters of auth_data: their names, what they look like, and what is said about those that are missing or wrong. */
#ifndef VWI_CORE_AUTH_PARAM_H
#define VWI_CORE_AUTH_PARAM_H

#include <stdbool.h>

#include "base/text.h"
#include "core/scan.h"

/* In the order of the bits VWI_AUTH_COST and following. */
enum {
    VWI_PARAM_COST,
    VWI_PARAM_ENDPOINT,
    VWI_PARAM_REQNUM,
    VWI_PARAM_REQUEST_IDX,
    VWI_PARAM_SIGNATURE,
    VWI_PARAM_URL,
    VWI_PARAMS
};

int vwi_param_find(const struct vwi_scan_string *name); /* -1: none of them */
/* A JSON number, or a string that is one. */
bool vwi_param_cost(struct vwi_span value, double *ret);
/* A JSON number without a fraction that fits: 5, and 5.0 as some clients write it. */
bool vwi_param_integer(struct vwi_span value, long long *ret);
/* Appends {"cost": "missing parameter", "reqnum": "wrong type"} for the bits of either. */
bool vwi_param_describe(unsigned missing, unsigned wrong, struct vwi_text *out);

#endif
