/* docs/config.md out of the table of keys, so that it cannot say something else than the loader does. */
#include <math.h>
#include <string.h>

#include "core/config.h"
#include "core/config_parts.h"
#include "core/literal.h"

static const char *const type_names[] = {
    [VWI_KEY_BOOL] = "true or false",
    [VWI_KEY_INTEGER] = "integer",
    [VWI_KEY_NUMBER] = "number",
    [VWI_KEY_SECONDS] = "seconds",
    [VWI_KEY_STRING] = "string",
    [VWI_KEY_STRINGS] = "list of strings",
    [VWI_KEY_STRING_OR_LIST] = "string or list of strings",
    [VWI_KEY_OBJECT] = "object",
    [VWI_KEY_OBJECTS] = "list of objects",
    [VWI_KEY_MAP] = "object of objects",
    [VWI_KEY_NAME_OR_OBJECT] = "string or object",
    [VWI_KEY_WORKLOAD] = "number, string or object",
    [VWI_KEY_FREE_OBJECT] = "object",
    [VWI_KEY_FREE_LIST] = "list",
};

static const char intro[] =
    "# Configuration\n"
    "\n"
    "One JSON file, given with `--config`, and the environment. What the command line says wins over the environment,\n"
    "the environment over the file, the file over the defaults; an empty variable counts as unset, and so does an\n"
    "empty text of an optional key. Without a file the environment alone decides. `vastworker-run --check` loads and\n"
    "judges everything, `--print-config` shows what is in effect. [config.schema.json](config.schema.json) is this\n"
    "page for editors.\n"
    "\n"
    "- A wrong file is refused with all its errors at once, one line each, such as\n"
    "  `worker.json: handlers[0].maxQueueTime: expected seconds >= 0, got \"abc\"`.\n"
    "  An unknown key is an error that names the nearest known one; a repeated key is an error.\n"
    "- `${NAME}` and `${NAME:-default}` in any string of the file stand for a variable of the environment; a plain\n"
    "  `${` is written `$${`. Secrets (MASTER_TOKEN, HF_TOKEN, VASTWORKER_BEARER_KEYS and names\n"
    "  that end in _KEY) cannot be referred to.\n"
    "- Seconds may have fractions. Paths of files are taken from the worker's working directory.\n"
    "\n";

static const char modes[] =
    "## Modes\n"
    "\n"
    "| Mode | When | Then |\n"
    "|---|---|---|\n"
    "| platform | CONTAINER_ID is set | reports, to https://run.vast.ai unless REPORT_ADDR says otherwise; needs "
    "PUBLIC_IPADDR and VAST_TCP_PORT_\\<workerPort>, or advertisedUrl; serves TLS unless USE_SSL or tls.enabled says otherwise ([tls.md](tls.md)) |\n"
    "| local | CONTAINER_ID is not set | serves, and reports only where REPORT_ADDR is set; handlers with auth \"vast\" "
    "need unsecured, publicKeyFile or REPORT_ADDR; without an advertised url the url in signed requests is not checked |\n"
    "\n";

/* What Markdown would read as markup stays as it is. */
static void add_cell(struct vwi_text *out, const char *text)
{
    for (; *text; text++)
        vwi_text_addf(out, strchr("|<*", *text) ? "\\%c" : "%c", *text);
}

static void add_range(struct vwi_text *out, const struct vwi_config_key *key)
{
    if (isinf(key->min))
        return;
    vwi_text_adds(out, isinf(key->max) ? ", at least " : ", ");
    vwi_literal_number(out, key->min);
    if (isinf(key->max))
        return;
    vwi_text_adds(out, " to ");
    vwi_literal_number(out, key->max);
}

static void add_row(struct vwi_text *out, const struct vwi_config_key *key, const char *name)
{
    vwi_text_addf(out, "| `%s` | %s", name, type_names[key->type]);
    if (*key->unit && key->type != VWI_KEY_SECONDS)
        vwi_text_addf(out, " (%s)", key->unit);
    add_range(out, key);
    vwi_text_adds(out, key->flags & VWI_KEY_NULLABLE ? ", or null | " : " | ");
    if (key->initial)
        vwi_text_addf(out, "`%s`", key->initial);
    else if (key->flags & VWI_KEY_REQUIRED)
        vwi_text_adds(out, "required");
    vwi_text_addf(out, " | %s | ", key->env ? key->env : "");
    add_cell(out, key->text);
    vwi_text_adds(out, " |\n");
}

/* Rows whose path begins with prefix, which is not shown; "" for those of no other section. */
static void add_section(struct vwi_text *out, const char *title, const char *prefix)
{
    size_t count, i;
    const struct vwi_config_key *keys = vwi_config_keys(&count);
    bool inside;

    vwi_text_addf(out, "## %s\n\n| Key | Type | Default | Environment | Meaning |\n|---|---|---|---|---|\n", title);
    for (i = 0; i < count; i++) {
        inside = *prefix ? strncmp(keys[i].path, prefix, strlen(prefix)) == 0 : !strpbrk(keys[i].path, "[*");
        if (inside && !(keys[i].flags & VWI_KEY_LATER))
            add_row(out, &keys[i], keys[i].path + strlen(prefix));
    }
    vwi_text_adds(out, "\n");
}

void vwi_config_docs(struct vwi_text *out)
{
    size_t count, i;
    const struct vwi_config_variable *variables = vwi_config_variables(&count);
    const struct vwi_config_key *keys;

    vwi_text_adds(out, intro);
    add_section(out, "Top level", "");
    add_section(out, "A handler, `handlers[]`", "handlers[].");
    add_section(out, "A lane, `lanes.NAME`", "lanes.*.");
    vwi_text_adds(out, "## Environment alone\n\n| Variable | Meaning |\n|---|---|\n");
    for (i = 0; i < count; i++) {
        vwi_text_adds(out, "| ");
        add_cell(out, variables[i].name);
        vwi_text_adds(out, " | ");
        add_cell(out, variables[i].text);
        vwi_text_adds(out, " |\n");
    }
    vwi_text_addf(out, "\n%s", modes);
    vwi_text_adds(out, "## Keys of later versions\n\nSetting one of these is an error in this version, so that none is silently "
                       "without effect.\n\n| Key | Meaning |\n|---|---|\n");
    keys = vwi_config_keys(&count);
    for (i = 0; i < count; i++)
        if (keys[i].flags & VWI_KEY_LATER)
            vwi_text_addf(out, "| `%s` | %s |\n", keys[i].path, keys[i].text);
}
