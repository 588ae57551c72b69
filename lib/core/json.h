/*
 * Typed getters over jansson. `where` is what an error calls the value ("worker.json: handlers[0].maxQueueTime", "CONTAINER_ID"),
 * and every failure reads `where: expected this, got that`.
 */
#ifndef VWI_CORE_JSON_H
#define VWI_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <vastworker/err.h>

#include "base/text.h"

/* What a number must be: `what` is "seconds", "an integer"; -INFINITY and INFINITY leave a side open. */
struct vwi_json_bounds {
    const char *what;
    double min, max;
};

/*
 * flags are jansson's. A failure names line and column and never quotes the text, which may hold secrets.
 * Errors  VW_E_PARSE, VW_E_NOMEM
 */
vw_err vwi_json_parse(const char *text, size_t len, size_t flags, const char *where, json_t **ret, vw_error_t *why);

/* A value as text, for vwi_free(); flags are jansson's. NULL: no memory. */
char *vwi_json_text(const json_t *value, size_t flags);

/* A value in an error text: `"abc"` (cut when long), `12`, `null`, `a list`, `an object`, `nothing` for NULL. */
void vwi_json_show(const json_t *value, struct vwi_text *out);

/* VW_OK, VW_E_CONFIG, or VW_E_NOMEM. *ret is untouched on failure; strings are borrowed from value. */
vw_err vwi_json_get_bool(const json_t *value, const char *where, bool *ret, vw_error_t *why);
vw_err vwi_json_get_string(const json_t *value, const char *where, const char **ret, vw_error_t *why);
vw_err vwi_json_get_number(const json_t *value, const char *where, const struct vwi_json_bounds *bounds, double *ret,
                           vw_error_t *why);
/* A number with a fraction of zero (1e9) is an integer too. */
vw_err vwi_json_get_integer(const json_t *value, const char *where, const struct vwi_json_bounds *bounds, long long *ret,
                            vw_error_t *why);
/* For the cases the getters do not know. Returns VW_E_CONFIG. */
vw_err vwi_json_refuse(const json_t *value, const char *where, const char *expected, vw_error_t *why);

#endif
