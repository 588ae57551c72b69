/* One message is taken under the lock and told without it, since telling may take long and lead anywhere. */
#include "flow/embedder.h"

#include <pthread.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/vwi.h"

struct message {
    struct vwi_list node;
    enum vwi_embedder_news news;
    double value;
    size_t len;
    char text[];
};

struct vwi_embedder {
    pthread_mutex_t lock; /* guards what follows */
    struct vwi_list messages;
    size_t bytes;
};

vw_err vwi_embedder_create(struct vwi_embedder **ret, vw_error_t *why)
{
    struct vwi_embedder *embedder = vwi_zalloc(sizeof *embedder);

    if (!embedder)
        return vwi_fail(why, VW_E_NOMEM, "worker: out of memory");
    pthread_mutex_init(&embedder->lock, NULL);
    vwi_list_init(&embedder->messages);
    *ret = embedder;
    return VW_OK;
}

static void drop_all(struct vwi_list *messages)
{
    while (!vwi_list_empty(messages)) {
        struct message *message = VWI_CONTAINER(messages->next, struct message, node);

        vwi_list_del(&message->node);
        vwi_free(message);
    }
}

void vwi_embedder_destroy(struct vwi_embedder *embedder)
{
    if (!embedder)
        return;
    drop_all(&embedder->messages);
    pthread_mutex_destroy(&embedder->lock);
    vwi_free(embedder);
}

vw_err vwi_embedder_say(struct vwi_embedder *embedder, enum vwi_embedder_news news, const char *text, size_t len, double value)
{
    size_t size = sizeof(struct message) + len + 1;
    struct message *message = vwi_zalloc(size);
    bool room;

    if (!message)
        return VW_E_NOMEM;
    message->news = news;
    message->value = value;
    message->len = len;
    if (len)
        memcpy(message->text, text, len);
    pthread_mutex_lock(&embedder->lock);
    room = embedder->bytes + size <= VWI_EMBEDDER_MAX_BYTES;
    if (room) {
        vwi_list_add(&embedder->messages, &message->node);
        embedder->bytes += size;
    }
    pthread_mutex_unlock(&embedder->lock);
    if (room)
        return VW_OK;
    vwi_free(message);
    return VW_E_BUSY;
}

static void tell(struct vwi_startup *startup, const struct message *message)
{
    switch (message->news) {
    case VWI_EMBEDDER_LINE:
        vwi_startup_line(startup, message->text, message->len);
        break;
    case VWI_EMBEDDER_LOADED:
        vwi_startup_loaded(startup);
        break;
    case VWI_EMBEDDER_UNLOADED:
        vwi_startup_unloaded(startup);
        break;
    case VWI_EMBEDDER_FAILED:
        vwi_startup_error(startup, message->text);
        break;
    case VWI_EMBEDDER_CAPACITY:
        vwi_startup_capacity(startup, message->value);
        break;
    }
}

static struct message *take_first(struct vwi_embedder *embedder)
{
    struct message *message = NULL;

    pthread_mutex_lock(&embedder->lock);
    if (!vwi_list_empty(&embedder->messages)) {
        message = VWI_CONTAINER(embedder->messages.next, struct message, node);
        vwi_list_del(&message->node);
        embedder->bytes -= sizeof *message + message->len + 1;
    }
    pthread_mutex_unlock(&embedder->lock);
    return message;
}

void vwi_embedder_tell(struct vwi_embedder *embedder, struct vwi_startup *startup)
{
    struct message *message;

    while ((message = take_first(embedder))) {
        tell(startup, message);
        vwi_free(message);
    }
}
