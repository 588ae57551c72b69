/* Any bytes as a request target, against routes of every kind. What goes to the model begins as it must and holds no secrets. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/vwi.h"
#include "core/route.h"

static bool begins(const char *at, const char *end, const char *text)
{
    return (size_t)(end - at) >= strlen(text) && memcmp(at, text, strlen(text)) == 0;
}

static void check_query(const char *at, const char *end)
{
    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));

        if (begins(at, end, "api_key=") || begins(at, end, "serverless_"))
            abort();
        at = stop ? stop + 1 : end;
    }
}

static void check_target(const struct vwi_handler_conf *handler, struct vwi_span target)
{
    struct vwi_text out = VWI_TEXT_INIT;
    const char *model = handler->target_path ? handler->target_path : handler->route;
    const char *query;
    size_t len = strcspn(model, "*");

    if (!vwi_route_target(handler, target, true, &out) || out.len < len || memcmp(out.p, model, len) != 0 ||
        out.len > target.len + len)
        abort();
    query = memchr(out.p, '?', out.len);
    if (query)
        check_query(query + 1, out.p + out.len);
    vwi_text_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char a[] = "/a", deep[] = "/a/b/*", all[] = "/a/*", api[] = "/api/*", odd[] = "/x%20y", get[] = "GET", post[] = "POST",
         any[] = "*";
    char *gets[] = { get }, *both[] = { get, post }, *anys[] = { any };
    struct vwi_handler_conf items[] = {
        { .route = a, .methods = { gets, 1 } },
        { .route = deep, .methods = { both, 2 }, .target_path = api },
        { .route = all, .methods = { anys, 1 } },
        { .route = odd, .methods = { anys, 1 } },
    };
    struct vwi_handlers_conf conf = { items, VWI_ARRAY_LEN(items), NULL, 0 };
    struct vwi_span head = { "HEAD", 4 }, target;
    struct vwi_text allow = VWI_TEXT_INIT;
    struct vwi_routes *routes = NULL;
    char *copy = malloc(size ? size : 1); /* exact size, so that a read beyond it is seen */
    size_t handler = 0;

    if (size)
        memcpy(copy, data, size);
    target = (struct vwi_span){ copy, size };
    if (vwi_routes_create(&conf, &routes, NULL) != VW_OK)
        abort();
    if (vwi_routes_find(routes, head, target, &handler, &allow) == VWI_ROUTE_FOUND)
        check_target(&items[handler], target);
    vwi_text_fini(&allow);
    vwi_routes_destroy(routes);
    free(copy);
    return 0;
}
