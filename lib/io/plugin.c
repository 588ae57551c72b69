/*
 * The gate reads as little as it has proof for: versions first, then the size, then no more of the descriptor than that size.
 * The host table is a member of the instance, so that a plugin's log line finds its way home without any global.
 */
#include "io/plugin.h"

#include <dlfcn.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"

/* The part of the descriptor that every version has. What follows are hooks, all pointers to functions. */
#define HEAD_SIZE offsetof(struct vw_plugin, open)
#define HOOK_SIZE sizeof(void (*)(void))

struct vwi_plugin {
    struct vw_host host;
    struct vw_plugin d; /* our copy; hooks that the plugin's own descriptor was too short for are NULL */
    char *name, *path;
    void *dl, *self;
    bool opened;
    const struct vwi_log *log;
};

static struct vw_bytes bytes(struct vwi_span s) { return (struct vw_bytes){ s.p, s.len }; }

/* A hook always has somewhere to write its reason. Only what is read is set: this stands on the request path. */
static vw_error_t *ready(vw_error_t *why, vw_error_t *unread)
{
    if (why)
        return why;
    unread->code = VW_OK;
    unread->text[0] = '\0';
    return unread;
}

static void on_plugin_log(const struct vw_host *host, int level, const char *text)
{
    const struct vwi_plugin *p = (const struct vwi_plugin *)(const void *)host;

    if (!text)
        return;
    if (level < VW_LOG_ERROR || level > VW_LOG_DEBUG)
        level = VW_LOG_INFO;
    vwi_log(p->log, (vw_log_level_t)level, "plugin %s: %.*s", p->name, (int)strcspn(text, "\r\n"), text);
}
_Static_assert(offsetof(struct vwi_plugin, host) == 0, "on_plugin_log goes from the table to its owner");

static void fill_host(struct vw_host *host, const struct vwi_plugin_access *access)
{
    host->struct_size = sizeof *host;
    host->abi_major = VW_PLUGIN_ABI_MAJOR;
    host->abi_minor = VW_PLUGIN_ABI_MINOR;
    host->alloc = vwi_alloc;
    host->free = vwi_free;
    host->refuse = vwi_fail;
    host->log = on_plugin_log;
    host->find = access->find;
    host->count = access->count;
    host->number = access->number;
    host->string = access->string;
}

static vw_err check_name(const char *name, vw_error_t *why)
{
    size_t len = strlen(name);

    if (len == 0)
        return vwi_fail(why, VW_E_CONFIG, "a plugin's name is empty");
    if (strchr(name, '/'))
        return vwi_fail(why, VW_E_CONFIG, "plugin \"%s\": a name has no '/'; put the directory into pluginPath", name);
    if (len > 3 && strcmp(name + len - 3, ".so") == 0)
        return vwi_fail(why, VW_E_CONFIG, "plugin \"%s\": write the name without \".so\"", name);
    return VW_OK;
}

/* The list of directories comes last, where cutting it to the size of the text hurts least. */
static vw_err not_found(const struct vwi_strings *dirs, const char *name, vw_error_t *why)
{
    struct vwi_text searched = VWI_TEXT_INIT;
    size_t i;
    vw_err err;

    for (i = 0; i < dirs->count; i++)
        vwi_text_addf(&searched, "%s%s", searched.len ? ", " : "", dirs->items[i]);
    if (searched.failed)
        err = VW_E_NOMEM;
    else
        err = vwi_fail(why, VW_E_CONFIG,
                       "plugin \"%s\" not found: put %s.so into a directory of the plugin path, or its directory into "
                       "pluginPath (searched: %s)", name, name, searched.p ? searched.p : "nothing");
    vwi_text_fini(&searched);
    return err;
}

static vw_err find_file(const struct vwi_strings *dirs, const char *name, char **ret_path, vw_error_t *why)
{
    struct stat st;
    size_t i;

    for (i = 0; i < dirs->count; i++) {
        struct vwi_text path = VWI_TEXT_INIT;

        if (!dirs->items[i][0])
            continue; /* an empty entry of a list is not the root directory */
        if (!vwi_text_addf(&path, "%s/%s.so", dirs->items[i], name)) {
            vwi_text_fini(&path);
            return VW_E_NOMEM;
        }
        if (stat(path.p, &st) == 0) {
            *ret_path = path.p;
            return VW_OK;
        }
        vwi_text_fini(&path);
    }
    return not_found(dirs, name, why);
}

/* Versions, then size; only then may the rest be read. */
static vw_err pass_gate(struct vwi_plugin *p, const struct vw_plugin *theirs, vw_error_t *why)
{
    if (theirs->abi_major != VW_PLUGIN_ABI_MAJOR || theirs->abi_minor > VW_PLUGIN_ABI_MINOR)
        return vwi_fail(why, VW_E_ABI, "plugin \"%s\": %s is built for plugin interface %u.%u, this host has %d.%d; %s", p->name,
                        p->path, theirs->abi_major, theirs->abi_minor, VW_PLUGIN_ABI_MAJOR, VW_PLUGIN_ABI_MINOR,
                        theirs->abi_major < VW_PLUGIN_ABI_MAJOR ? "rebuild the plugin with this version's headers"
                                                                : "update vastworker, or rebuild the plugin with its headers");
    if (theirs->struct_size < HEAD_SIZE || (theirs->struct_size - HEAD_SIZE) % HOOK_SIZE != 0)
        return vwi_fail(why, VW_E_ABI, "plugin \"%s\": the descriptor in %s says it has %zu bytes, which is no size of interface "
                        "%u.%u; begin it with VW_PLUGIN_HEAD", p->name, p->path, theirs->struct_size, theirs->abi_major,
                        theirs->abi_minor);
    memcpy(&p->d, theirs, theirs->struct_size < sizeof p->d ? theirs->struct_size : sizeof p->d);
    if (!p->d.name || !p->d.version)
        return vwi_fail(why, VW_E_ABI, "plugin \"%s\": the descriptor in %s has no name or no version; begin it with "
                        "VW_PLUGIN_HEAD", p->name, p->path);
    if (p->d.flags & ~VW_PLUGIN_BLOCKING)
        return vwi_fail(why, VW_E_ABI, "plugin \"%s\": the descriptor in %s has flags 0x%llx that interface %u.%u does not know",
                        p->name, p->path, (unsigned long long)(p->d.flags & ~VW_PLUGIN_BLOCKING), p->d.abi_major, p->d.abi_minor);
    return VW_OK;
}

static vw_err load_file(struct vwi_plugin *p, vw_error_t *why)
{
    const struct vw_plugin *theirs;
    const char *said;

    p->dl = dlopen(p->path, RTLD_NOW | RTLD_LOCAL);
    if (!p->dl) {
        said = dlerror();
        return vwi_fail(why, VW_E_CONFIG, "plugin \"%s\" does not load: %s; build it as a shared object for this machine, linked "
                        "with all it uses", p->name, said ? said : p->path);
    }
    theirs = (const struct vw_plugin *)dlsym(p->dl, VW_PLUGIN_SYMBOL);
    if (!theirs)
        return vwi_fail(why, VW_E_ABI, "plugin \"%s\": %s exports no " VW_PLUGIN_SYMBOL ", so it is not a plugin; "
                        "define one with VW_PLUGIN_EXPORT", p->name, p->path);
    return pass_gate(p, theirs, why);
}

static vw_err open_plugin(struct vwi_plugin *p, const char *options_json, vw_error_t *why)
{
    struct vw_bytes options = { options_json ? options_json : "{}", 0 }, whole;
    vw_error_t inner;
    vw_err err;

    options.len = strlen(options.p);
    if (p->host.find(options, "", &whole) != VW_KIND_OBJECT)
        return vwi_fail(why, VW_E_CONFIG, "plugin \"%s\": options must be an object", p->name);
    if (!p->d.open) {
        if (p->host.count(whole) > 0)
            return vwi_fail(why, VW_E_CONFIG, "plugin \"%s\" (%s) takes no options; remove them", p->name, p->path);
        return VW_OK;
    }
    err = p->d.open(&p->host, options, &p->self, ready(NULL, &inner));
    if (err != VW_OK)
        return vwi_fail(why, err, "plugin \"%s\" (%s) does not open: %.700s", p->name, p->path,
                        inner.code != VW_OK ? inner.text : "it gives no reason");
    p->opened = true;
    return VW_OK;
}

vw_err vwi_plugin_load(const struct vwi_strings *dirs, const char *name, const char *options_json,
                       const struct vwi_plugin_access *access, const struct vwi_log *log, struct vwi_plugin **ret,
                       vw_error_t *why)
{
    struct vwi_plugin *p = NULL;
    vw_err err = check_name(name, why);

    if (err != VW_OK)
        return err;
    err = VW_E_NOMEM;
    p = vwi_zalloc(sizeof *p);
    if (!p)
        goto out;
    p->log = log;
    fill_host(&p->host, access);
    p->name = vwi_strdup(name);
    if (!p->name)
        goto out;
    err = find_file(dirs, name, &p->path, why);
    if (err == VW_OK)
        err = load_file(p, why);
    if (err == VW_OK)
        err = open_plugin(p, options_json, why);
    if (err != VW_OK)
        goto out;
    vwi_log_debug(log, "plugin %s: %s %s from %s", p->name, p->d.name, p->d.version, p->path);
    *ret = p;
    p = NULL;
out:
    vwi_plugin_close(p);
    return err == VW_E_NOMEM ? vwi_fail(why, err, "plugin \"%s\": out of memory", name) : err;
}

void vwi_plugin_close(struct vwi_plugin *p)
{
    if (!p)
        return;
    if (p->opened && p->d.close)
        p->d.close(p->self, &p->host);
    if (p->dl)
        dlclose(p->dl);
    vwi_free(p->path);
    vwi_free(p->name);
    vwi_free(p);
}

const char *vwi_plugin_name(const struct vwi_plugin *p) { return p->name; }
const char *vwi_plugin_version(const struct vwi_plugin *p) { return p->d.version; }
const char *vwi_plugin_path(const struct vwi_plugin *p) { return p->path; }
bool vwi_plugin_can_weigh(const struct vwi_plugin *p) { return p->d.weigh != NULL; }
bool vwi_plugin_can_parse(const struct vwi_plugin *p) { return p->d.parse != NULL; }
bool vwi_plugin_can_sample(const struct vwi_plugin *p) { return p->d.sample != NULL; }
bool vwi_plugin_blocks(const struct vwi_plugin *p) { return p->d.flags & VW_PLUGIN_BLOCKING; }

static vw_err not_offered(const struct vwi_plugin *p, const char *hook, vw_error_t *why)
{
    return vwi_fail(why, VW_E_STATE, "plugin \"%s\" (%s) offers no %s", p->name, p->path, hook);
}

/* A hook's failure keeps its own text; one without a text gets ours. */
static vw_err failed(const struct vwi_plugin *p, const char *hook, vw_err err, vw_error_t *why)
{
    return vwi_fail(why, err, "plugin \"%s\": %s failed and gives no reason", p->name, hook);
}

vw_err vwi_plugin_weigh(struct vwi_plugin *p, struct vwi_span payload, double *ret, vw_error_t *why)
{
    vw_error_t unread;
    double workload = NAN; /* a hook that says VW_OK and writes nothing is caught below */
    vw_err err;

    why = ready(why, &unread);
    if (!p->d.weigh)
        return not_offered(p, "weigh", why);
    err = p->d.weigh(p->self, &p->host, bytes(payload), &workload, why);
    if (err != VW_OK)
        return failed(p, "weigh", err, why);
    if (!isfinite(workload) || workload < 0)
        return vwi_fail(why, VW_E_ARG, "plugin \"%s\": weigh said %g; a workload is finite and not negative", p->name, workload);
    *ret = workload;
    return VW_OK;
}

static bool lies_within(struct vw_bytes part, struct vwi_span whole)
{
    uintptr_t from = (uintptr_t)part.p, base = (uintptr_t)whole.p;

    return part.p && from >= base && from - base <= whole.len && part.len <= whole.len - (from - base);
}

vw_err vwi_plugin_parse(struct vwi_plugin *p, struct vwi_span payload, struct vwi_span *ret, void **ret_owned, vw_error_t *why)
{
    vw_error_t unread;
    struct vw_bytes parsed = { NULL, 0 };
    void *owned = NULL;
    vw_err err;

    why = ready(why, &unread);
    if (!p->d.parse)
        return not_offered(p, "parse", why);
    err = p->d.parse(p->self, &p->host, bytes(payload), &parsed, &owned, why);
    if (err != VW_OK)
        return failed(p, "parse", err, why);
    if (owned ? !parsed.p : !lies_within(parsed, payload)) {
        vwi_free(owned);
        return vwi_fail(why, VW_E_ARG, "plugin \"%s\": parse returned bytes that are neither a part of the payload nor handed "
                        "over", p->name);
    }
    *ret = (struct vwi_span){ parsed.p, parsed.len };
    *ret_owned = owned;
    return VW_OK;
}

vw_err vwi_plugin_sample(struct vwi_plugin *p, unsigned nth, char **ret, vw_error_t *why)
{
    vw_error_t unread;
    char *sample = NULL;
    vw_err err;

    why = ready(why, &unread);
    if (!p->d.sample)
        return not_offered(p, "sample", why);
    err = p->d.sample(p->self, &p->host, nth, &sample, why);
    if (err != VW_OK)
        return failed(p, "sample", err, why);
    if (!sample)
        return vwi_fail(why, VW_E_ARG, "plugin \"%s\": sample returned nothing", p->name);
    *ret = sample;
    return VW_OK;
}

void vwi_plugin_free(void *owned) { vwi_free(owned); }
