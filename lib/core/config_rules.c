/* Rules of single texts in the configuration. Each returns NULL for a good one, else what it must be, as in "expected ...". */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/vwi.h"
#include "core/config_table.h"

#define NAME_BYTES 64
#define HOST_BYTES 253
#define UNIX_PATH_BYTES 107 /* what a socket's address holds */

static bool alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/* Printable ASCII without space, quotes and what ends a path. */
static bool path_chars(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~' || strchr("\"<>\\^`{|}#", *text))
            return false;
    return true;
}

const char *vwi_config_nonempty_problem(const char *text) { return *text ? NULL : "a text that is not empty"; }

const char *vwi_config_path_problem(const char *text)
{
    return text[0] == '/' && path_chars(text) ? NULL : "a path that begins with \"/\"";
}

const char *vwi_config_target_problem(const char *text)
{
    const char *star = strchr(text, '*');

    if (text[0] != '/' || !path_chars(text) || strchr(text, '?') || (star && (star[1] || star[-1] != '/')))
        return "a path (\"/api/x\"), or one that ends in \"/*\"";
    return NULL;
}

const char *vwi_config_method_problem(const char *text)
{
    static const char *const known[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "*" };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(known); i++)
        if (strcmp(text, known[i]) == 0)
            return NULL;
    return "one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, or \"*\"";
}

const char *vwi_config_verb_problem(const char *text)
{
    return vwi_config_method_problem(text) || text[0] == '*' ? "one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" : NULL;
}

const char *vwi_config_upgrade_problem(const char *text) { return strcmp(text, "websocket") == 0 ? NULL : "\"websocket\""; }

const char *vwi_config_pointer_problem(const char *text)
{
    bool good = !*text || *text == '/';
    const char *at;

    for (at = text; good && (at = strchr(at, '~')); at++)
        good = at[1] == '0' || at[1] == '1';
    return good ? NULL : "a JSON pointer, such as \"/max_tokens\"";
}

const char *vwi_config_plugin_problem(const char *text)
{
    size_t len;

    for (len = 0; alnum(text[len]) || (text[len] && strchr("._-", text[len])); len++)
        ;
    if (len && !text[len] && len <= NAME_BYTES && text[0] != '.')
        return NULL;
    return "a plugin's name: letters, digits, \".\", \"_\", \"-\"; no directory, no \".so\"";
}

const char *vwi_config_lane_problem(const char *text)
{
    size_t len;

    for (len = 0; text[len] >= ' ' && text[len] <= '~' && text[len] != '"' && text[len] != '\\'; len++)
        ;
    return len && !text[len] && len <= 4 * NAME_BYTES ? NULL : "a lane's name: 1 to 256 printable characters";
}

/* HOST or [IPv6], then an optional port. *ret_end is behind them. */
static bool host_and_port(const char *at, const char **ret_end)
{
    const char *from = at;
    char *end;
    long port;

    if (*at == '[') {
        for (at++; alnum(*at) || *at == ':' || *at == '.'; at++)
            ;
        if (*at++ != ']' || at - from < 4)
            return false;
    } else {
        for (; alnum(*at) || *at == '.' || *at == '-' || *at == '_'; at++)
            ;
    }
    if (at == from || at - from > HOST_BYTES)
        return false;
    if (*at == ':') {
        if (at[1] < '0' || at[1] > '9')
            return false;
        port = strtol(at + 1, &end, 10);
        if (port < 1 || port > 65535 || end - at > 6)
            return false;
        at = end;
    }
    *ret_end = at;
    return true;
}

const char *vwi_config_address_problem(const char *text)
{
    size_t scheme = strncmp(text, "http://", 7) == 0 ? 7 : strncmp(text, "https://", 8) == 0 ? 8 : 0;
    const char *end;

    if (!scheme || !host_and_port(text + scheme, &end) || (*end && *end != '/') || !path_chars(end) || strchr(end, '?'))
        return "http://HOST[:PORT] or https://HOST[:PORT]";
    return NULL;
}

const char *vwi_config_model_problem(const char *text)
{
    const char *end;

    if (strncmp(text, "unix:/", 6) == 0 && text[6] && strlen(text + 5) <= UNIX_PATH_BYTES)
        return NULL;
    if (strncmp(text, "http://", 7) == 0 && host_and_port(text + 7, &end) && (!*end || strcmp(end, "/") == 0))
        return NULL;
    return "http://HOST[:PORT] without a path, or unix:/path";
}
