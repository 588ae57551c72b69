/*
 * The queues behind the handlers. A lane exists when a handler waits in it: one that was named, "serial" and "parallel" for those
 * that name none, or one of its own for a parallel handler with a limit.
 */
#include <stdio.h>
#include <string.h>

#include "core/config_parts.h"

#define MAX_LANES 1000
#define SERIAL "serial"
#define PARALLEL "parallel"

/* A lane of the file. */
struct named {
    struct vwi_lane_conf conf;
    bool has_concurrency, has_length, used;
};

/* Who said what about a lane in use, for the error that names both; paths, NULL: nobody yet. */
struct claims {
    const char *concurrency, *length;
    const char *serial; /* a handler that takes one request at a time */
};

struct lanes {
    struct vwi_fill *fill;
    struct vwi_handlers_conf *conf;
    struct named *named;
    size_t named_count;
    struct claims *claims; /* one for each lane of conf */
};

static char *keep(struct vwi_fill *fill, const char *text) { return vwi_fill_keep_text(fill, text, strlen(text)); }

static void read_named(struct lanes *lanes, json_t *object)
{
    char path[VWI_FILL_PATH];
    struct named *named;
    const char *name;
    json_t *entry;

    if (!json_is_object(object))
        return; /* absent, or refused */
    if (json_object_size(object) > MAX_LANES) {
        vwi_fill_error(lanes->fill, "lanes", "expected at most %d lanes, got %zu", MAX_LANES, json_object_size(object));
        return;
    }
    lanes->named = vwi_fill_keep(lanes->fill, json_object_size(object) * sizeof *lanes->named);
    json_object_foreach(object, name, entry)
    {
        if (!lanes->named)
            return;
        named = &lanes->named[lanes->named_count++];
        named->conf.name = keep(lanes->fill, name);
        vwi_fill_path(path, "lanes", name);
        if (vwi_config_lane_problem(name))
            vwi_fill_error(lanes->fill, path, "expected %s", vwi_config_lane_problem(name));
        if (json_is_object(entry))
            vwi_fill_object(lanes->fill, "lanes.*", entry, path, &named->conf);
        else
            vwi_fill_error(lanes->fill, path, "expected an object");
        named->has_concurrency = json_object_get(entry, "maxConcurrency") != NULL;
        named->has_length = json_object_get(entry, "maxQueueLength") != NULL;
    }
}

static struct named *find_named(const struct lanes *lanes, const char *name)
{
    size_t i;

    for (i = 0; i < lanes->named_count; i++)
        if (lanes->named[i].conf.name && strcmp(lanes->named[i].conf.name, name) == 0)
            return &lanes->named[i];
    return NULL;
}

static size_t find(const struct lanes *lanes, const char *name)
{
    size_t i;

    for (i = 0; i < lanes->conf->lane_count; i++)
        if (lanes->conf->lanes[i].name && strcmp(lanes->conf->lanes[i].name, name) == 0)
            break;
    return i;
}

static const char *keep_path(struct lanes *lanes, const char *object, const char *name)
{
    char path[VWI_FILL_PATH];

    vwi_fill_path(path, object, name);
    return keep(lanes->fill, path);
}

static size_t open_lane(struct lanes *lanes, const char *name, struct named *named)
{
    size_t index = lanes->conf->lane_count++;
    struct vwi_lane_conf *lane = &lanes->conf->lanes[index];
    char path[VWI_FILL_PATH];

    lane->max_queue_length = 1000;
    if (named) {
        *lane = named->conf;
        named->used = true;
        vwi_fill_path(path, "lanes", name);
        lanes->claims[index].concurrency = named->has_concurrency ? keep_path(lanes, path, "maxConcurrency") : NULL;
        lanes->claims[index].length = named->has_length ? keep_path(lanes, path, "maxQueueLength") : NULL;
    }
    lane->name = keep(lanes->fill, name);
    return index;
}

static size_t find_or_open(struct lanes *lanes, const char *name)
{
    size_t index = find(lanes, name);

    return index < lanes->conf->lane_count ? index : open_lane(lanes, name, find_named(lanes, name));
}

/* Named by the route; a second handler of the same route adds its method, which no other one has. */
static size_t open_own(struct lanes *lanes, const struct vwi_handler_conf *handler)
{
    const char *route = handler->route ? handler->route : "";
    struct vwi_text name = VWI_TEXT_INIT;
    size_t index;

    vwi_text_adds(&name, route);
    if (find(lanes, route) < lanes->conf->lane_count || find_named(lanes, route))
        vwi_text_addf(&name, " %s", handler->methods.count ? handler->methods.items[0] : "");
    lanes->fill->no_memory |= name.failed;
    index = open_lane(lanes, name.p ? name.p : "", NULL);
    vwi_text_fini(&name);
    return index;
}

/* Without "lanes" a handler's name for one makes it; with it a name it does not hold is a slip of the pen.
 * Returns the number of lanes if there is none of that name. */
static size_t open_given(struct lanes *lanes, const char *name, const char *path)
{
    const char *near = SERIAL;
    unsigned least = vwi_config_distance(name, SERIAL), distance = vwi_config_distance(name, PARALLEL);
    size_t i;

    if (!lanes->named_count || find_named(lanes, name) || strcmp(name, SERIAL) == 0 || strcmp(name, PARALLEL) == 0)
        return find_or_open(lanes, name);
    if (distance < least) {
        least = distance;
        near = PARALLEL;
    }
    for (i = 0; i < lanes->named_count; i++) {
        distance = lanes->named[i].conf.name ? vwi_config_distance(name, lanes->named[i].conf.name) : least;
        if (distance < least) {
            least = distance;
            near = lanes->named[i].conf.name;
        }
    }
    vwi_fill_error(lanes->fill, path, "no lane \"%.64s\" in lanes, the nearest is \"%.64s\"", name, near);
    return lanes->conf->lane_count;
}

static void claim(struct lanes *lanes, size_t index, const char **by, unsigned *limit, unsigned value, const char *path)
{
    const char *name = lanes->conf->lanes[index].name;

    if (!*by) {
        *by = keep(lanes->fill, path);
        *limit = value;
    } else if (*limit != value) {
        vwi_fill_error(lanes->fill, path, "lane \"%.64s\" has %u from %s already, got %u", name ? name : "", *limit, *by, value);
    }
}

/* What was checked and is read by hand. */
static bool read_count(const json_t *object, const char *name, unsigned *ret)
{
    const json_t *value = json_object_get(object, name);
    double number = json_number_value(value);

    if (!json_is_number(value) || !(number >= 0 && number <= 10000000))
        return false;
    *ret = (unsigned)number;
    return true;
}

/* The number of lanes: the name given is that of none. */
static size_t choose(struct lanes *lanes, const struct vwi_handler_conf *handler, const char *given, unsigned concurrency,
                     const char *path)
{
    char own[VWI_FILL_PATH];

    if (given) {
        vwi_fill_path(own, path, "lane");
        return open_given(lanes, given, own);
    }
    if (!handler->parallel && !handler->control)
        return find_or_open(lanes, SERIAL);
    return concurrency ? open_own(lanes, handler) : find_or_open(lanes, PARALLEL);
}

static void join(struct lanes *lanes, size_t at, const json_t *object)
{
    struct vwi_handler_conf *handler = &lanes->conf->items[at];
    const char *given = json_string_value(json_object_get(object, "lane"));
    char path[VWI_FILL_PATH], own[VWI_FILL_PATH];
    unsigned concurrency = 0, length = 0;
    bool limited = read_count(object, "maxConcurrency", &concurrency);
    size_t index;

    given = given && *given ? given : NULL;
    vwi_fill_path_at(path, "handlers", at);
    vwi_fill_path(own, path, "maxConcurrency");
    if (limited && !handler->parallel && concurrency != 1) {
        vwi_fill_error(lanes->fill, own, "expected 1 where allowParallelRequests is false, got %u", concurrency);
        limited = false;
    }
    index = choose(lanes, handler, given, concurrency, path);
    if (index >= lanes->conf->lane_count)
        return; /* was refused */
    handler->lane = index;
    if (limited && (concurrency || given))
        claim(lanes, index, &lanes->claims[index].concurrency, &lanes->conf->lanes[index].max_concurrency, concurrency, own);
    vwi_fill_path(own, path, "maxQueueLength");
    if (read_count(object, "maxQueueLength", &length))
        claim(lanes, index, &lanes->claims[index].length, &lanes->conf->lanes[index].max_queue_length, length, own);
    if (!handler->parallel && !handler->control)
        lanes->claims[index].serial = keep(lanes->fill, path);
}

/* One request at a time is a promise to the model server, so it binds the whole lane. */
static void settle(struct lanes *lanes, size_t index)
{
    struct vwi_lane_conf *lane = &lanes->conf->lanes[index];
    const struct claims *claims = &lanes->claims[index];

    if (!claims->serial)
        return;
    if (claims->concurrency && lane->max_concurrency != 1)
        vwi_fill_error(lanes->fill, claims->concurrency,
                       "expected 1, because %s in that lane takes one request at a time, got %u", claims->serial,
                       lane->max_concurrency);
    lane->max_concurrency = 1;
}

void vwi_fill_lanes(struct vwi_fill *fill, json_t *list, json_t *object)
{
    struct lanes lanes = { .fill = fill, .conf = &fill->config->handlers };
    size_t i;

    lanes.conf->lanes = vwi_fill_keep(fill, lanes.conf->count * sizeof *lanes.conf->lanes);
    lanes.claims = vwi_fill_keep(fill, lanes.conf->count * sizeof *lanes.claims);
    if (!lanes.conf->lanes || !lanes.claims)
        return;
    read_named(&lanes, object);
    for (i = 0; i < lanes.conf->count; i++)
        join(&lanes, i, json_array_get(list, i));
    for (i = 0; i < lanes.conf->lane_count; i++)
        settle(&lanes, i);
    for (i = 0; i < lanes.named_count; i++)
        if (!lanes.named[i].used)
            vwi_fill_warn(fill, "lanes: no handler uses \"%.64s\"", lanes.named[i].conf.name ? lanes.named[i].conf.name : "");
}
