/* Signed envelopes by hand. The payload is looked at to see that it is JSON, and then copied byte for byte. */
#include "sim_sign.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/vwi.h"
#include "sim_cli.h"
#include "sim_file.h"
#include "sim_key.h"
#include "sim_stage.h"

#define REQNUM_MAX 9007199254740992.0 /* 2^53 */

struct sign_options {
    const char *key_file, *url, *endpoint, *payload, *session_id;
    long long reqnum, request_idx;
    double cost;
    bool auth_data_only, header;
};

#define AT(member) offsetof(struct sign_options, member)

static const struct sim_option sign_options[] = {
    { "key", SIM_TEXT, AT(key_file), "FILE", 0, 0, "the private key, as `control --save-key FILE` wrote it" },
    { "url", SIM_TEXT, AT(url), "URL", 0, 0, "the worker's advertised url, e.g. http://127.0.0.1:3000: the only signed value" },
    { "payload", SIM_TEXT, AT(payload), "JSON", 0, 0, "the payload, or @FILE, or - for standard input (default {})" },
    { "cost", SIM_REAL, AT(cost), "N", 0, 1e15, "(default 100)" },
    { "endpoint", SIM_TEXT, AT(endpoint), "NAME", 0, 0, "(default sim)" },
    { "reqnum", SIM_WHOLE, AT(reqnum), "N", 0, REQNUM_MAX, "(default 1)" },
    { "request-idx", SIM_WHOLE, AT(request_idx), "N", 0, REQNUM_MAX, "(default 1)" },
    { "session-id", SIM_TEXT, AT(session_id), "ID", 0, 0, "(default null)" },
    { "auth-data-only", SIM_FLAG, AT(auth_data_only), NULL, 0, 0, "print auth_data alone" },
    { "header", SIM_FLAG, AT(header), NULL, 0, 0, "print the header X-Vast-Auth, for requests that are no envelope" },
};

static const char about[] =
    "Prints a request envelope {\"auth_data\", \"session_id\", \"payload\"} on one line, signed as the control plane signs:\n"
    "RSASSA-PKCS1-v1_5 with SHA-256 over the text of {\"url\": ...}.";
static const char notes[] =
    "Examples:\n"
    "  vastworker-sim sign --key key.pem --url http://127.0.0.1:3000 --payload '{\"input\": [\"hello\"]}' |\n"
    "    curl http://127.0.0.1:3000/v1/embeddings -d @-\n"
    "  curl -H \"$(vastworker-sim sign --key key.pem --url $URL --header)\" $URL/v1/completions -d '{\"prompt\": \"hi\"}'\n"
    "\n"
    "Exit codes: 0 printed, 1 runtime failure, 2 usage (also a payload that is not JSON).";

/* JSON's own white space around the value: without it an envelope from a file stays on one line. */
static struct vwi_span trim(struct vwi_span s)
{
    while (s.len && strchr(" \t\r\n", s.p[0]))
        s.p++, s.len--;
    while (s.len && strchr(" \t\r\n", s.p[s.len - 1]))
        s.len--;
    return s;
}

static vw_err read_payload(const struct sign_options *options, struct vwi_text *ret, vw_error_t *why)
{
    const char *from = options->payload;
    json_error_t bad;
    json_t *json;
    vw_err err = VW_OK;

    if (strcmp(from, "-") == 0)
        err = sim_file_read("-", ret, why);
    else if (from[0] == '@')
        err = sim_file_read(from + 1, ret, why);
    else if (!vwi_text_adds(ret, from))
        err = vwi_fail(why, VW_E_NOMEM, "--payload: out of memory");
    if (err != VW_OK)
        return err;
    json = json_loadb(ret->p, ret->len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &bad);
    if (!json)
        return vwi_fail(why, VW_E_CONFIG, "--payload: not JSON, line %d: %.100s", bad.line, bad.text);
    if (!json_is_object(json))
        fprintf(stderr, "vastworker-sim sign: note: workers expect a payload that is an object\n");
    json_decref(json);
    return VW_OK;
}

static vw_err make_auth_data(const struct sign_options *options, struct vwi_text *ret, vw_error_t *why)
{
    struct vwi_text signature = VWI_TEXT_INIT;
    struct sim_key *key = NULL;
    char *text = NULL;
    json_t *json = NULL;
    vw_err err = sim_key_load(options->key_file, &key, why);

    if (err == VW_OK)
        err = sim_key_sign_url(key, options->url, &signature, why);
    if (err != VW_OK)
        goto out;
    json = json_pack("{s:f,s:s,s:I,s:I,s:s,s:s}", "cost", options->cost, "endpoint", options->endpoint, "reqnum",
                     (json_int_t)options->reqnum, "request_idx", (json_int_t)options->request_idx, "signature", signature.p,
                     "url", options->url);
    text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (!text)
        err = vwi_fail(why, VW_E_ARG, "--endpoint: must be UTF-8");
    else if (!vwi_text_adds(ret, text))
        err = vwi_fail(why, VW_E_NOMEM, "out of memory");
out:
    free(text);
    json_decref(json);
    sim_key_free(key);
    vwi_text_fini(&signature);
    return err;
}

static vw_err make_output(const struct sign_options *options, struct vwi_text *ret, vw_error_t *why)
{
    struct vwi_text auth = VWI_TEXT_INIT, payload = VWI_TEXT_INIT;
    struct vwi_span inner;
    vw_err err = make_auth_data(options, &auth, why);

    if (err != VW_OK)
        goto out;
    if (options->auth_data_only) {
        vwi_text_add(ret, auth.p, auth.len);
    } else if (options->header) {
        vwi_text_adds(ret, "X-Vast-Auth: ");
        err = sim_base64(auth.p, auth.len, ret, why);
    } else if ((err = read_payload(options, &payload, why)) == VW_OK) {
        inner = trim((struct vwi_span){ payload.p, payload.len });
        vwi_text_addf(ret, "{\"auth_data\":%s,\"session_id\":", auth.p);
        if (options->session_id)
            vwi_text_add_json(ret, options->session_id, strlen(options->session_id));
        else
            vwi_text_adds(ret, "null");
        vwi_text_adds(ret, ",\"payload\":");
        vwi_text_add(ret, inner.p, inner.len);
        vwi_text_adds(ret, "}");
    }
    vwi_text_adds(ret, "\n");
    if (err == VW_OK && ret->failed)
        err = vwi_fail(why, VW_E_NOMEM, "out of memory");
out:
    vwi_text_fini(&auth);
    vwi_text_fini(&payload);
    return err;
}

int sim_sign_main(int argc, char **argv)
{
    struct sign_options options = { .endpoint = "sim", .payload = "{}", .reqnum = 1, .request_idx = 1, .cost = 100 };
    const struct sim_options groups[] = { { "Options", NULL, sign_options, VWI_ARRAY_LEN(sign_options), &options } };
    const struct sim_usage usage = {
        "sign", "--key FILE --url URL [OPTIONS]", about, notes, groups, VWI_ARRAY_LEN(groups), false
    };
    struct vwi_text text = VWI_TEXT_INIT;
    vw_error_t why = { 0 };
    int code = sim_cli_parse(&usage, argc, argv, NULL);

    if (code != SIM_CLI_GO)
        return code;
    if (!options.key_file || !options.url)
        return sim_cli_refuse("sign", "--%s is needed; vastworker-sim sign --help says more", options.key_file ? "url" : "key");
    if (options.auth_data_only && options.header)
        return sim_cli_refuse("sign", "--auth-data-only and --header exclude each other");
    if (make_output(&options, &text, &why) != VW_OK)
        code = sim_complain("sign", &why);
    else
        code =
            sim_file_write_fd(1, "standard output", text.p, text.len, &why) == VW_OK ? SIM_EXIT_OK : sim_complain("sign", &why);
    vwi_text_fini(&text);
    return code;
}
