/*
 * Method and path of a request -> handler. Exact routes win over prefixes, the longest prefix over shorter ones; the route
 * found that way alone decides about the method, so a handler for one path is never bypassed by a wider one beside it.
 */
#ifndef VWI_CORE_ROUTE_H
#define VWI_CORE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include <vastworker/err.h>

#include "base/conf.h"
#include "base/text.h"

struct vwi_routes;

/* conf is borrowed until vwi_routes_destroy. The same route may stand in several handlers with different methods. */
vw_err vwi_routes_create(const struct vwi_handlers_conf *conf, struct vwi_routes **ret, vw_error_t *why);
void vwi_routes_destroy(struct vwi_routes *routes);

enum vwi_route_verdict {
    VWI_ROUTE_FOUND,
    VWI_ROUTE_NONE,   /* 404 */
    VWI_ROUTE_METHOD, /* 405 */
    VWI_ROUTE_BAD     /* 400: dot segment, %2e, %2f, backslash or %5c under a prefix */
};

/*
 * target as in the request line; what follows '?' is not looked at. Never allocates, except into allow: on METHOD it gets
 * "POST, GET, HEAD" (may be NULL). HEAD is taken where GET is; a method named beats "*". *ret_handler indexes conf->items.
 */
enum vwi_route_verdict vwi_routes_find(const struct vwi_routes *routes, struct vwi_span method, struct vwi_span target,
                                       size_t *ret_handler, struct vwi_text *allow);

/*
 * Appends the path at the model: targetPath or the route itself, a "*" at the end of either replaced by what the request had
 * under the prefix. With keep_query the query follows, without api_key and serverless_* pairs. False only when out of memory.
 */
bool vwi_route_target(const struct vwi_handler_conf *handler, struct vwi_span target, bool keep_query, struct vwi_text *out);

/* What could lead out of a prefix at the model server, in any spelling: dot segments, escaped dots and slashes, backslashes. */
bool vwi_path_climbs(struct vwi_span path);

/* NULL when route is well-formed ("/x", "/x/" or "/x/" followed by one final "*"), else a phrase that says what it must be. */
const char *vwi_route_problem(const char *route);

#endif
