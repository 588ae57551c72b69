/*
 * The plugin interface. A plugin is one shared object, NAME.so, with one exported symbol: a constant descriptor.
 *
 * It is found by its file name in the plugin path, needs no header but this one and links nothing of the library: whatever it
 * wants from the host it takes from the host table. C11 and C++17. A whole plugin:
 *
 *     #include <vastworker/plugin.h>
 *
 *     static vw_err weigh(void *self, const struct vw_host *host, struct vw_bytes payload, double *ret_workload, vw_error_t *why)
 *     {
 *         (void)self;
 *         if (!vw_number_at(host, payload, "/steps", ret_workload))
 *             return host->refuse(why, VW_E_ENVELOPE, "\"steps\" is absent or not a number");
 *         return VW_OK;
 *     }
 *
 *     VW_PLUGIN_EXPORT = { VW_PLUGIN_HEAD("diffusion", "1.0.0"), .weigh = weigh };
 *
 * Versions   the first three fields never move. Another major is refused; so is a minor above the host's. Within a major the
 *            descriptor, the host table and the call only grow at their ends. A plugin that was built with a shorter descriptor
 *            offers less; what it does not name is NULL.
 * Ownership  borrowed: looked at for the stated time. transferred: the other side frees it from then on, with host->free.
 * Thread     open, close, weigh, parse and sample run on the loop thread of one worker, one at a time, and every request waits
 *            meanwhile: they should take microseconds. Two workers in one process have two loop threads, so keep state in
 *            self, not in static variables.
 * Secrets    payloads are the users'. Texts given to refuse and log may name a field, never its content.
 */
#ifndef VASTWORKER_PLUGIN_H
#define VASTWORKER_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>
#include <vastworker/export.h>

#define VW_PLUGIN_ABI_MAJOR 1
#define VW_PLUGIN_ABI_MINOR 0
#define VW_PLUGIN_SYMBOL "vw_plugin_descriptor" /* the same in every version: the fields say which one it is */

#ifdef __cplusplus
extern "C" {
#endif

/* A view: bytes that are not terminated. */
struct vw_bytes {
    const char *p;
    size_t len;
};

/* What stands at a place of a JSON text. */
enum vw_kind {
    VW_KIND_ABSENT,
    VW_KIND_NULL,
    VW_KIND_BOOL,
    VW_KIND_NUMBER,
    VW_KIND_STRING,
    VW_KIND_ARRAY,
    VW_KIND_OBJECT
};

/*
 * What the host offers. One table for each opened plugin, valid from open until close has returned.
 *
 * find to string read JSON in place: they allocate nothing, cost one pass over the value and take only valid JSON, which a
 * payload, the options and any value found in them are.
 */
struct vw_host {
    size_t struct_size; /* of the host's table: a field beyond it is not there */
    uint32_t abi_major; /* the host's */
    uint32_t abi_minor;

    /* Memory that may change sides. Any thread. alloc: uninitialised, NULL when out of memory. free takes NULL. */
    void *(*alloc)(size_t size);
    void (*free)(void *p);

    /* Writes the reason of a failure (at most 1023 bytes; the first one stays) and returns code. Any thread. */
    vw_err (*refuse)(vw_error_t *why, vw_err code, const char *fmt, ...) VW_PRINTF(3, 4);

    /* One line to the worker's log, under the plugin's name. level: 0 error, 1 warning, 2 info, 3 debug. Any thread. */
    void (*log)(const struct vw_host *host, int level, const char *text);

    /*
     * The value at a JSON pointer (RFC 6901: "" is the whole, "/input/0", "~1" for "/", "~0" for "~").
     * *ret_value: borrowed, a part of json with its quotes or brackets; untouched when absent. Of repeated keys the last counts.
     */
    enum vw_kind (*find)(struct vw_bytes json, const char *pointer, struct vw_bytes *ret_value);
    /* Entries of a list, members of an object; 0 for anything else. */
    size_t (*count)(struct vw_bytes value);
    /* A number that a double can hold. False: not one, *ret untouched. */
    bool (*number)(struct vw_bytes value, double *ret);
    /*
     * A string without its quotes and escapes, as UTF-8 with a NUL at the end, cut to size - 1 bytes between two characters.
     * *ret_len: the bytes written without the NUL; the text may itself hold NULs. False: not a string.
     */
    bool (*string)(struct vw_bytes value, char *out, size_t size, size_t *ret_len);
};

/*
 * A request that a plugin answers itself.
 *
 * Since 1.0 in the interface; the worker of this version does not hand out calls (see handle).
 *
 * A call that handle accepted is finished exactly once, with reply or with end, now or later; until then it and all it shows
 * stay valid, also when the client has gone. All functions: any thread, but one at a time for a call.
 * Cancel and finish may race: the first wins. Once cancelled, reply, start and write return VW_E_STATE and send nothing, and
 * the call still has to be finished, which then only gives it back.
 */
struct vw_call {
    size_t struct_size; /* of the host's struct: a field beyond it is not there */
    const char *method;
    const char *path;   /* without the query */
    struct vw_bytes payload;

    /* The whole answer; finishes the call, also when it fails. body: copied. */
    vw_err (*reply)(struct vw_call *call, int status, const char *content_type, struct vw_bytes body);
    /* A streamed answer: start once, write as often as there is something, end. */
    vw_err (*start)(struct vw_call *call, int status, const char *content_type);
    /* chunk: copied. VW_E_BUSY: the client is behind and nothing was taken; try again when there is more to say. */
    vw_err (*write)(struct vw_call *call, struct vw_bytes chunk);
    /* Finishes the call. complete false: cut the answer short, so that the client sees it is not whole. */
    vw_err (*end)(struct vw_call *call, bool complete);

    /* Three ways to learn that nobody waits any more: this flag, a descriptor that turns readable, and the cancel hook. */
    bool (*is_cancelled)(const struct vw_call *call);
    int (*cancel_fd)(struct vw_call *call); /* borrowed until the call is finished; -1 when there is none left */
};

/* Flags of a descriptor. */
#define VW_PLUGIN_BLOCKING UINT64_C(1) /* a hook may wait for something; this version runs it on the loop all the same */

/*
 * The descriptor. Begin it with VW_PLUGIN_HEAD; every hook may be NULL. Hooks return VW_OK or a failure with its reason in *why
 * (never NULL, use host->refuse) and then leave their outputs alone. self is what open returned, else NULL.
 */
struct vw_plugin {
    uint32_t abi_major;
    uint32_t abi_minor;
    size_t struct_size;
    const char *name;    /* for people */
    const char *version; /* the plugin's own */
    uint64_t flags;

    /*
     * Once for each place that names the plugin. options: the JSON object of the configuration, "{}" when there is none;
     * borrowed for the call, and here p[len] is NUL. Refuse what is not understood: the worker then does not start and shows why.
     * A plugin without open takes no options.
     */
    vw_err (*open)(const struct vw_host *host, struct vw_bytes options, void **ret_self, vw_error_t *why);
    /* Once for each open that returned VW_OK; no hook runs after it. Threads of the plugin's own end before it returns. */
    void (*close)(void *self, const struct vw_host *host);

    /*
     * How much work this payload is, in the unit the endpoint is sold in: finite, 0 or more.
     * payload: valid JSON, borrowed for the call. On failure the request is served all the same, counted as 100.
     */
    vw_err (*weigh)(void *self, const struct vw_host *host, struct vw_bytes payload, double *ret_workload, vw_error_t *why);

    /*
     * What goes to the model server instead of the payload. Either *ret_payload is a part of payload (borrowed) and *ret_owned
     * stays NULL, or *ret_payload lies in memory from host->alloc whose start is put into *ret_owned (transferred).
     * On failure the client gets 422 with the text of why.
     */
    vw_err (*parse)(void *self, const struct vw_host *host, struct vw_bytes payload, struct vw_bytes *ret_payload,
                    void **ret_owned, vw_error_t *why);

    /* The nth payload for the benchmark: a JSON text with a NUL at the end, from host->alloc (transferred). */
    vw_err (*sample)(void *self, const struct vw_host *host, unsigned nth, char **ret, vw_error_t *why);

    /*
     * Answer in process. VW_OK: accepted, the call is finished once, later or already. A failure: not accepted, do not touch it.
     * Part of the interface so that its shape is settled; the worker of this version never calls it, and a plugin that offers
     * nothing else loads and rests.
     */
    vw_err (*handle)(void *self, const struct vw_host *host, struct vw_call *call, vw_error_t *why);
    /* The client of an accepted call has gone, or the worker gives up on it: at most once a call, while it is not finished. */
    void (*cancel)(void *self, const struct vw_host *host, struct vw_call *call);
};

/* The one exported symbol; the declaration makes it visible. */
extern VW_API const struct vw_plugin vw_plugin_descriptor;

#define VW_PLUGIN_EXPORT const struct vw_plugin vw_plugin_descriptor
#define VW_PLUGIN_HEAD(name, version) VW_PLUGIN_ABI_MAJOR, VW_PLUGIN_ABI_MINOR, sizeof(struct vw_plugin), (name), (version)

/* find and a reader in one step. False, or absent: nothing of that kind there, and *ret untouched. */
static inline enum vw_kind vw_kind_at(const struct vw_host *host, struct vw_bytes json, const char *pointer)
{
    struct vw_bytes value;

    return host->find(json, pointer, &value);
}

/* Entries of the list, or members of the object, at pointer. */
static inline bool vw_count_at(const struct vw_host *host, struct vw_bytes json, const char *pointer, size_t *ret)
{
    struct vw_bytes value;
    enum vw_kind kind = host->find(json, pointer, &value);

    if (kind != VW_KIND_ARRAY && kind != VW_KIND_OBJECT)
        return false;
    *ret = host->count(value);
    return true;
}

static inline bool vw_number_at(const struct vw_host *host, struct vw_bytes json, const char *pointer, double *ret)
{
    struct vw_bytes value;

    return host->find(json, pointer, &value) == VW_KIND_NUMBER && host->number(value, ret);
}

/* As host->string: cut to size - 1 bytes. */
static inline bool vw_string_at(const struct vw_host *host, struct vw_bytes json, const char *pointer, char *out, size_t size,
                                size_t *ret_len)
{
    struct vw_bytes value;

    return host->find(json, pointer, &value) == VW_KIND_STRING && host->string(value, out, size, ret_len);
}

#ifdef __cplusplus
}
#endif

#endif
