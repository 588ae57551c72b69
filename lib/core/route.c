/*
 * One pass over the path hashes it once: at each '/' the hash so far is looked up among the prefixes, at the end among the exact
 * routes. The table is a flat array with free slots, so finding a route touches one or two cache lines and allocates nothing.
 */
#include "core/route.h"

#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define HASH_START 2166136261u /* FNV-1a */
#define HASH_PRIME 16777619u
#define PREFIX_SEED 1u /* so that "/v1/" and "/v1/" followed by "*" differ */
#define MAX_ROUTE_BYTES 2048

/* A route of one handler and one of its methods; those of the same route are chained in the order they were given. */
struct choice {
    const char *method;
    size_t method_len, handler;
    struct choice *next;
};

struct slot {
    const char *path; /* without the "*"; NULL: free */
    size_t len;
    uint32_t hash;
    struct choice *first;
};

struct vwi_routes {
    struct slot *slots;
    size_t mask;           /* number of slots - 1, a power of two - 1; at most half of them are used */
    size_t max_prefix_len; /* 0: no prefixes */
    struct choice *choices;
    size_t choice_count;
};

static uint32_t hash_byte(uint32_t hash, char c) { return (hash ^ (unsigned char)c) * HASH_PRIME; }

static uint32_t hash_path(const char *path, size_t len)
{
    uint32_t hash = HASH_START;
    size_t i;

    for (i = 0; i < len; i++)
        hash = hash_byte(hash, path[i]);
    return hash;
}

static uint32_t finish(uint32_t hash, bool prefix)
{
    hash = prefix ? hash_byte(hash, (char)PREFIX_SEED) : hash;
    return hash ^ (hash >> 15);
}

static struct slot *probe(const struct vwi_routes *routes, uint32_t hash, const char *path, size_t len)
{
    size_t at = hash & routes->mask;

    for (; routes->slots[at].path; at = (at + 1) & routes->mask)
        if (routes->slots[at].hash == hash && routes->slots[at].len == len && memcmp(routes->slots[at].path, path, len) == 0)
            break;
    return &routes->slots[at];
}

static void add_choice(struct vwi_routes *routes, struct slot *slot, const char *method, size_t handler)
{
    struct choice *choice = &routes->choices[routes->choice_count++], **end = &slot->first;

    *choice = (struct choice){ method, strlen(method), handler, NULL };
    while (*end)
        end = &(*end)->next;
    *end = choice;
}

static void add(struct vwi_routes *routes, const struct vwi_handler_conf *handler, size_t index)
{
    size_t len = strlen(handler->route), i;
    bool prefix = len && handler->route[len - 1] == '*';
    struct slot *slot;
    uint32_t hash;

    len -= prefix;
    hash = finish(hash_path(handler->route, len), prefix);
    slot = probe(routes, hash, handler->route, len);
    slot->path = handler->route;
    slot->len = len;
    slot->hash = hash;
    if (prefix && len > routes->max_prefix_len)
        routes->max_prefix_len = len;
    for (i = 0; i < handler->methods.count; i++)
        add_choice(routes, slot, handler->methods.items[i], index);
}

vw_err vwi_routes_create(const struct vwi_handlers_conf *conf, struct vwi_routes **ret, vw_error_t *why)
{
    struct vwi_routes *routes = vwi_zalloc(sizeof *routes);
    size_t slots = 8, choices = 0, i;
    vw_err err = VW_E_NOMEM;

    if (!routes)
        goto out;
    for (i = 0; i < conf->count; i++) {
        if (!conf->items[i].route || vwi_route_problem(conf->items[i].route)) {
            err = vwi_fail(why, VW_E_CONFIG, "handlers[%zu].route: expected %s", i,
                           conf->items[i].route ? vwi_route_problem(conf->items[i].route) : "a path");
            goto out;
        }
        choices += conf->items[i].methods.count;
    }
    while (slots < conf->count * 2)
        slots *= 2;
    routes->mask = slots - 1;
    routes->slots = vwi_zalloc(slots * sizeof *routes->slots);
    routes->choices = vwi_zalloc(choices * sizeof *routes->choices);
    if (!routes->slots || !routes->choices)
        goto out;
    for (i = 0; i < conf->count; i++)
        add(routes, &conf->items[i], i);
    *ret = routes;
    routes = NULL;
    err = VW_OK;
out:
    vwi_routes_destroy(routes);
    return err == VW_E_NOMEM ? vwi_fail(why, err, "routes: out of memory") : err;
}

void vwi_routes_destroy(struct vwi_routes *routes)
{
    if (!routes)
        return;
    vwi_free(routes->slots);
    vwi_free(routes->choices);
    vwi_free(routes);
}

/* The exact route of path, else the longest prefix; NULL: none. */
static const struct slot *find_slot(const struct vwi_routes *routes, struct vwi_span path, bool *ret_prefix)
{
    const struct slot *best = NULL, *slot;
    uint32_t hash = HASH_START;
    size_t i;

    for (i = 0; i < path.len; i++) {
        hash = hash_byte(hash, path.p[i]);
        if (path.p[i] != '/' || i >= routes->max_prefix_len)
            continue;
        slot = probe(routes, finish(hash, true), path.p, i + 1);
        if (slot->path)
            best = slot;
    }
    slot = probe(routes, finish(hash, false), path.p, path.len);
    *ret_prefix = !slot->path;
    return slot->path ? slot : best;
}

/* The byte that %XY at p stands for, or -1. */
static int escaped(const char *p, const char *end)
{
    int value = 0, i;

    if (end - p < 3 || *p != '%')
        return -1;
    for (i = 1; i < 3; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;

        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

bool vwi_path_climbs(struct vwi_span path)
{
    const char *at, *end = path.p + path.len;
    size_t segment = 0; /* bytes of it so far */
    bool dots = true;   /* it has only dots so far */
    int byte;

    for (at = path.p; at < end; at++) {
        if (*at == '\\')
            return true;
        byte = *at == '%' ? escaped(at, end) : -1;
        if (byte == '.' || byte == '/' || byte == '\\')
            return true;
        if (*at != '/') {
            dots = dots && *at == '.';
            segment++;
            continue;
        }
        if (dots && (segment == 1 || segment == 2))
            return true;
        segment = 0;
        dots = true;
    }
    return dots && (segment == 1 || segment == 2);
}

static const struct choice *choose(const struct slot *slot, struct vwi_span method)
{
    const struct choice *choice, *got = NULL, *any = NULL;
    bool head = vwi_span_is(method, "HEAD");

    for (choice = slot->first; choice; choice = choice->next) {
        if (choice->method_len == method.len && memcmp(choice->method, method.p, method.len) == 0)
            return choice;
        if (head && strcmp(choice->method, "GET") == 0)
            got = choice;
        if (strcmp(choice->method, "*") == 0)
            any = choice;
    }
    return got ? got : any;
}

static void list_methods(const struct slot *slot, struct vwi_text *allow)
{
    const struct choice *choice;
    struct vwi_span head = { "HEAD", 4 };
    const char *separator = "";
    bool named = false;

    for (choice = slot->first; choice; choice = choice->next) {
        vwi_text_addf(allow, "%s%s", separator, choice->method);
        separator = ", ";
        named = named || strcmp(choice->method, "HEAD") == 0;
    }
    if (!named && choose(slot, head))
        vwi_text_addf(allow, "%sHEAD", separator);
}

enum vwi_route_verdict vwi_routes_find(const struct vwi_routes *routes, struct vwi_span method, struct vwi_span target,
                                       size_t *ret_handler, struct vwi_text *allow)
{
    struct vwi_span path = vwi_span_path(target);
    const struct choice *choice;
    const struct slot *slot;
    bool prefix;

    slot = find_slot(routes, path, &prefix);
    if (!slot)
        return VWI_ROUTE_NONE;
    if (prefix && vwi_path_climbs(path))
        return VWI_ROUTE_BAD;
    choice = choose(slot, method);
    if (!choice) {
        if (allow)
            list_methods(slot, allow);
        return VWI_ROUTE_METHOD;
    }
    *ret_handler = choice->handler;
    return VWI_ROUTE_FOUND;
}

/* Is the name of a query pair ours to take out? Escapes in it are undone. */
static bool is_ours(const char *p, size_t len)
{
    static const char api_key[] = "api_key", serverless[] = "serverless_";
    const char *end = p + len;
    size_t n = 0;
    bool key = true, prefix = true;

    for (; p < end && n < sizeof serverless - 1; n++) {
        int byte = *p == '%' ? escaped(p, end) : -1;
        char c = byte < 0 ? *p : (char)byte;

        p += byte < 0 ? 1 : 3;
        key = key && n < sizeof api_key - 1 && c == api_key[n];
        prefix = prefix && c == serverless[n];
    }
    return (key && n == sizeof api_key - 1 && p == end) || (prefix && n == sizeof serverless - 1);
}

/* ';' parts pairs as well: some servers still read it so, and a secret is not to reach those either. What stays, stays as it was. */
static void add_query(struct vwi_text *out, struct vwi_span query)
{
    const char *at = query.p, *end = query.p + query.len, *stop, *equals;
    bool first = true;

    for (;; at = stop + 1) {
        for (stop = at; stop < end && *stop != '&' && *stop != ';'; stop++)
            ;
        equals = at < stop ? memchr(at, '=', (size_t)(stop - at)) : NULL;
        if (!is_ours(at, (size_t)((equals ? equals : stop) - at))) {
            vwi_text_add(out, first ? "?" : at - 1, 1);
            vwi_text_add(out, at, (size_t)(stop - at));
            first = false;
        }
        if (stop == end)
            return;
    }
}

bool vwi_route_target(const struct vwi_handler_conf *handler, struct vwi_span target, bool keep_query, struct vwi_text *out)
{
    const char *model = handler->target_path ? handler->target_path : handler->route;
    size_t model_len = strlen(model), route_len = strlen(handler->route);
    struct vwi_span path = vwi_span_path(target), query = vwi_span_query(target);
    bool keeps = model_len && model[model_len - 1] == '*';

    vwi_text_add(out, model, model_len - keeps);
    if (keeps && path.len >= route_len - 1)
        vwi_text_add(out, path.p + route_len - 1, path.len - (route_len - 1));
    if (keep_query && query.len)
        add_query(out, query);
    return !out->failed;
}

const char *vwi_route_problem(const char *route)
{
    struct vwi_span path = { route, strlen(route) };
    bool prefix = path.len && route[path.len - 1] == '*', good;
    size_t i;

    path.len -= prefix;
    good = route[0] == '/' && (!prefix || route[path.len - 1] == '/');
    for (i = 0; good && i < path.len; i++)
        good = route[i] > ' ' && route[i] <= '~' && !strchr("\"#<>?*\\^`{|}", route[i]);
    if (!good)
        return "a path (\"/v1/x\"), or a prefix that ends in \"/*\"";
    return path.len > MAX_ROUTE_BYTES || vwi_path_climbs(path)
               ? "a path of at most 2048 bytes without dot segments and escaped slashes or dots"
               : NULL;
}
