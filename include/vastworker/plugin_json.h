/*
 * For plugins that want a payload as a jansson document. Opt-in: the only public header that needs jansson, compiled into the
 * plugin, so that the plugin and not the host decides which jansson it is (cflags and libs of the package "jansson").
 *
 * A document copies everything, and while a large one is built every request waits: prefer host->find where it does.
 * jansson also refuses some JSON that the host takes: integers beyond 64 bits, numbers beyond a double, lone surrogates.
 */
#ifndef VASTWORKER_PLUGIN_JSON_H
#define VASTWORKER_PLUGIN_JSON_H

#include <jansson.h>

#include <vastworker/plugin.h>

/*
 * Parses a payload, the options or any value found in them.
 *
 * Ownership  *ret: a new reference, given back with json_decref. Outlives json.
 * Errors     VW_E_PARSE  jansson refuses it; the text gives the place, never the content
 *            VW_E_NOMEM
 */
static inline vw_err vw_json_load(const struct vw_host *host, struct vw_bytes json, json_t **ret, vw_error_t *why)
{
    json_error_t error;
    json_t *root = json_loadb(json.p, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    if (!root && json_error_code(&error) == json_error_out_of_memory)
        return host->refuse(why, VW_E_NOMEM, "no memory for a JSON document");
    if (!root) /* error.text may quote it */
        return host->refuse(why, VW_E_PARSE, "jansson refuses the JSON at byte %d", error.position);
    *ret = root;
    return VW_OK;
}

/*
 * Writes a document the way parse hands it over: fill its *ret_payload and *ret_owned with this.
 *
 * Ownership  root: borrowed. *ret_owned: from host->alloc, with a NUL at the end, so that sample may use it too.
 * Errors     VW_E_PARSE  not a document (NULL, or a string that is not UTF-8)
 *            VW_E_NOMEM
 */
static inline vw_err vw_json_dump(const struct vw_host *host, const json_t *root, struct vw_bytes *ret_payload, void **ret_owned,
                                  vw_error_t *why)
{
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    size_t len = json_dumpb(root, NULL, 0, flags);
    char *text;

    if (len == 0)
        return host->refuse(why, VW_E_PARSE, "jansson cannot write the document");
    text = (char *)host->alloc(len + 1);
    if (!text)
        return host->refuse(why, VW_E_NOMEM, "no memory for a payload of %zu bytes", len);
    json_dumpb(root, text, len, flags);
    text[len] = '\0';
    ret_payload->p = text;
    ret_payload->len = len;
    *ret_owned = text;
    return VW_OK;
}

#endif
