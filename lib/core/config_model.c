/* Where the model server is: host and port, or a socket, out of modelServerUrl (checked by its row) and modelServerPort. */
#include <stdlib.h>
#include <string.h>

#include "core/config_parts.h"

#define UNIX "unix:"
#define HTTP "http://"

/* Was modelServerPort set by somebody? */
static bool port_given(struct vwi_fill *fill, const json_t *root)
{
    return json_object_get(root, "modelServerPort") || vwi_fill_env(fill, "MODEL_SERVER_PORT");
}

static void refuse_port(struct vwi_fill *fill, const char *sentence)
{
    if (vwi_fill_env(fill, "MODEL_SERVER_PORT"))
        vwi_fill_env_error(fill, "MODEL_SERVER_PORT", "%s", sentence);
    else
        vwi_fill_error(fill, "modelServerPort", "%s", sentence);
}

/* The Host header's text. */
static char *keep_authority(struct vwi_fill *fill, const char *host, unsigned port)
{
    struct vwi_text text = VWI_TEXT_INIT;
    char *kept = NULL;

    vwi_text_addf(&text, strchr(host, ':') ? "[%s]" : "%s", host);
    if (port != 80)
        vwi_text_addf(&text, ":%u", port);
    if (text.failed)
        fill->no_memory = true;
    else
        kept = vwi_fill_keep_text(fill, text.p, text.len);
    vwi_text_fini(&text);
    return kept;
}

static void take_socket(struct vwi_fill *fill, const json_t *root)
{
    struct vwi_model_conf *model = &fill->config->model;
    const char *path = model->url + strlen(UNIX);

    if (port_given(fill, root))
        refuse_port(fill, "has no meaning where modelServerUrl is a unix socket");
    model->unix_path = vwi_fill_keep_text(fill, path, strlen(path));
    model->authority = vwi_fill_keep_text(fill, "localhost", strlen("localhost"));
    model->port = 0;
}

static void take_host(struct vwi_fill *fill, const json_t *root)
{
    struct vwi_model_conf *model = &fill->config->model;
    const char *host = model->url + strlen(HTTP), *end;
    bool bracket = *host == '[';
    unsigned long port;

    host += bracket;
    end = host + strcspn(host, bracket ? "]" : ":/");
    model->host = vwi_fill_keep_text(fill, host, (size_t)(end - host));
    end += bracket;
    if (*end == ':') {
        port = strtoul(end + 1, NULL, 10);
        if (port_given(fill, root) && port != model->port)
            refuse_port(fill, "contradicts the port in modelServerUrl");
        model->port = (uint16_t)port;
    }
    if (model->host)
        model->authority = keep_authority(fill, model->host, model->port);
}

void vwi_fill_model(struct vwi_fill *fill, json_t *root)
{
    const char *url = fill->config->model.url;

    if (url && strncmp(url, UNIX, strlen(UNIX)) == 0)
        take_socket(fill, root);
    else if (url)
        take_host(fill, root);
}
