#include "flow/keyring.h"

#include <string.h>

#include <openssl/crypto.h>

#include "base/err.h"
#include "base/mem.h"
#include "io/file.h"

#define LOOK_MS 1000
#define MAX_FILE_BYTES (256u * 1024)

struct vwi_keyring {
    const struct vwi_auth_conf *conf;
    const struct vwi_log *log;
    struct vwi_bearer *bearer;
    struct vwi_timer timer;
    struct vwi_file_stamp read, seen; /* when it was read last; as of the last look */
};

/* Room for all of it at once, so that no copy stays behind in memory that was outgrown. */
static vw_err add_file(struct vwi_bearer *bearer, const char *path, vw_error_t *why)
{
    struct vwi_text text = VWI_TEXT_INIT;
    vw_error_t cause = { VW_OK, "" };
    size_t before = vwi_bearer_count(bearer);
    bool named;
    vw_err err = VW_E_NOMEM;

    if (!vwi_text_reserve(&text, 2 * MAX_FILE_BYTES)) {
        vwi_fail(why, err, "bearerKeysFile: out of memory");
        goto out;
    }
    err = vwi_file_read(path, MAX_FILE_BYTES, &text, &cause);
    named = err != VW_OK; /* what io says names the file */
    if (err == VW_OK)
        err = vwi_bearer_add(bearer, (struct vwi_span){ text.p, text.len }, '\n', &cause);
    if (err == VW_OK && vwi_bearer_count(bearer) == before)
        err = vwi_fail(&cause, VW_E_PARSE, "there is no key in it");
    if (err != VW_OK && named)
        vwi_fail(why, err, "bearerKeysFile: %s", cause.text);
    else if (err != VW_OK)
        vwi_fail(why, err, "bearerKeysFile: %s: %s", path, cause.text);
out:
    if (text.p)
        OPENSSL_cleanse(text.p, text.cap);
    vwi_text_fini(&text);
    return err;
}

/* All keys anew. */
static vw_err read_keys(const struct vwi_auth_conf *conf, struct vwi_bearer **ret, vw_error_t *why)
{
    const char *variable = conf->bearer_keys ? conf->bearer_keys : "";
    struct vwi_bearer *bearer = NULL;
    vw_error_t cause = { VW_OK, "" };
    vw_err err = vwi_bearer_create(&bearer, why);

    if (err != VW_OK)
        return err;
    err = vwi_bearer_add(bearer, (struct vwi_span){ variable, strlen(variable) }, ',', &cause);
    if (err != VW_OK)
        vwi_fail(why, err, "VASTWORKER_BEARER_KEYS: %s", cause.text);
    if (err == VW_OK && conf->bearer_keys_file)
        err = add_file(bearer, conf->bearer_keys_file, why);
    if (err == VW_OK && !vwi_bearer_count(bearer))
        err = vwi_fail(why, VW_E_CONFIG, "VASTWORKER_BEARER_KEYS: there is no key in it; name at least one, or set bearerKeysFile");
    if (err == VW_OK) {
        *ret = bearer;
        bearer = NULL;
    }
    vwi_bearer_destroy(bearer);
    return err;
}

static void read_again(struct vwi_keyring *keyring)
{
    struct vwi_bearer *bearer = NULL;
    vw_error_t why = { VW_OK, "" };

    if (read_keys(keyring->conf, &bearer, &why) != VW_OK) {
        vwi_log_warn(keyring->log, "%s; the keys stay as they were", why.text);
        return;
    }
    vwi_bearer_destroy(keyring->bearer);
    keyring->bearer = bearer;
    vwi_log_info(keyring->log, "bearerKeysFile: %s has changed: %zu bearer keys", keyring->conf->bearer_keys_file, vwi_bearer_count(bearer));
}

static void on_timer(void *arg)
{
    struct vwi_keyring *keyring = arg;
    struct vwi_file_stamp now;
    bool still;

    vwi_file_take_stamp(keyring->conf->bearer_keys_file, &now);
    still = vwi_file_same_stamp(&now, &keyring->seen); /* else somebody may be in the middle of writing it */
    keyring->seen = now;
    if (still && !vwi_file_same_stamp(&now, &keyring->read)) {
        keyring->read = now;
        read_again(keyring);
    }
    vwi_timer_start(&keyring->timer, LOOK_MS);
}

vw_err vwi_keyring_create(struct vwi_loop *loop, const struct vwi_auth_conf *conf, const struct vwi_log *log, struct vwi_keyring **ret,
                          vw_error_t *why)
{
    struct vwi_keyring *keyring = vwi_zalloc(sizeof *keyring);
    vw_err err = VW_E_NOMEM;

    if (!keyring || vwi_timer_init(&keyring->timer, loop, on_timer, keyring) != VW_OK) {
        vwi_free(keyring);
        return vwi_fail(why, err, "bearer keys: out of memory");
    }
    keyring->conf = conf;
    keyring->log = log;
    if (conf->bearer_keys_file)
        vwi_file_take_stamp(conf->bearer_keys_file, &keyring->read);
    keyring->seen = keyring->read;
    err = read_keys(conf, &keyring->bearer, why);
    if (err != VW_OK) {
        vwi_keyring_destroy(keyring);
        if (why && err != VW_E_NOMEM)
            why->code = VW_E_CONFIG;
        return err == VW_E_NOMEM ? err : VW_E_CONFIG;
    }
    *ret = keyring;
    return VW_OK;
}

void vwi_keyring_start(struct vwi_keyring *keyring)
{
    if (keyring && keyring->conf->bearer_keys_file)
        vwi_timer_start(&keyring->timer, LOOK_MS);
}

bool vwi_keyring_holds(struct vwi_keyring *keyring, struct vwi_span key, struct vwi_bearer_rank *ret_rank)
{
    return vwi_bearer_holds(keyring->bearer, key, ret_rank);
}

void vwi_keyring_destroy(struct vwi_keyring *keyring)
{
    if (!keyring)
        return;
    vwi_timer_fini(&keyring->timer);
    vwi_bearer_destroy(keyring->bearer);
    vwi_free(keyring);
}
