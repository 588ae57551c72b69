/* OpenSSL's error queue belongs to the host: whatever fails here is taken out of it again. */
#include "core/bearer.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/err.h"
#include "base/mem.h"

#define DIGEST_BYTES 32

struct vwi_bearer {
    EVP_MD *sha256;
    EVP_MD_CTX *ctx;
    unsigned char (*digests)[DIGEST_BYTES];
    size_t count, room;
};

vw_err vwi_bearer_create(struct vwi_bearer **ret, vw_error_t *why)
{
    struct vwi_bearer *bearer = vwi_zalloc(sizeof *bearer);

    if (!bearer)
        return vwi_fail(why, VW_E_NOMEM, "bearer keys: out of memory");
    ERR_set_mark();
    bearer->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    bearer->ctx = EVP_MD_CTX_new();
    ERR_pop_to_mark();
    if (!bearer->sha256 || !bearer->ctx) {
        vwi_bearer_destroy(bearer);
        return vwi_fail(why, VW_E_STATE, "OpenSSL has no SHA-256; check its configuration and providers");
    }
    *ret = bearer;
    return VW_OK;
}

void vwi_bearer_destroy(struct vwi_bearer *bearer)
{
    if (!bearer)
        return;
    EVP_MD_CTX_free(bearer->ctx);
    EVP_MD_free(bearer->sha256);
    vwi_free(bearer->digests);
    vwi_free(bearer);
}

size_t vwi_bearer_count(const struct vwi_bearer *bearer) { return bearer->count; }

static bool digest(struct vwi_bearer *bearer, struct vwi_span key, unsigned char *ret)
{
    bool ok;

    ERR_set_mark();
    ok = EVP_DigestInit_ex2(bearer->ctx, bearer->sha256, NULL) == 1 && EVP_DigestUpdate(bearer->ctx, key.p, key.len) == 1 &&
         EVP_DigestFinal_ex(bearer->ctx, ret, NULL) == 1;
    ERR_pop_to_mark();
    return ok;
}

static bool make_room(struct vwi_bearer *bearer, size_t count)
{
    unsigned char(*digests)[DIGEST_BYTES];

    if (bearer->count + count <= bearer->room)
        return true;
    digests = vwi_realloc(bearer->digests, (bearer->count + count) * sizeof *digests);
    if (!digests)
        return false;
    bearer->digests = digests;
    bearer->room = bearer->count + count;
    return true;
}

static bool is_key(struct vwi_span piece)
{
    size_t i;

    for (i = 0; i < piece.len; i++)
        if (piece.p[i] <= ' ' || piece.p[i] > '~')
            return false;
    return piece.len <= VWI_BEARER_KEY_BYTES;
}

static bool is_skipped(struct vwi_span piece) { return !piece.len || piece.p[0] == '#'; }

static vw_err count_keys(struct vwi_span text, char separator, size_t *ret, vw_error_t *why)
{
    struct vwi_span piece;
    size_t number = 0, count = 0;

    while (vwi_span_next(&text, separator, &piece)) {
        number++;
        if (is_skipped(piece))
            continue;
        if (!is_key(piece))
            return vwi_fail(why, VW_E_PARSE, "%s %zu: a key is 1 to %d visible ASCII characters without spaces",
                            separator == '\n' ? "line" : "entry", number, VWI_BEARER_KEY_BYTES);
        count++;
    }
    *ret = count;
    return VW_OK;
}

vw_err vwi_bearer_add(struct vwi_bearer *bearer, struct vwi_span text, char separator, vw_error_t *why)
{
    size_t count = 0, added = 0;
    struct vwi_span piece;
    vw_err err = count_keys(text, separator, &count, why);

    if (err != VW_OK || !count)
        return err;
    if (bearer->count + count > VWI_BEARER_KEYS_MAX)
        return vwi_fail(why, VW_E_PARSE, "more than %d keys", VWI_BEARER_KEYS_MAX);
    if (!make_room(bearer, count))
        return vwi_fail(why, VW_E_NOMEM, "bearer keys: out of memory");
    while (vwi_span_next(&text, separator, &piece)) {
        if (is_skipped(piece))
            continue;
        if (!digest(bearer, piece, bearer->digests[bearer->count + added]))
            return vwi_fail(why, VW_E_STATE, "OpenSSL cannot make a SHA-256; check its configuration and providers");
        added++;
    }
    bearer->count += added;
    return VW_OK;
}

bool vwi_bearer_token(struct vwi_span authorization, struct vwi_span *ret)
{
    static const char scheme[] = "Bearer";
    size_t at = sizeof scheme - 1;

    if (authorization.len <= at || !vwi_span_is_nocase((struct vwi_span){ authorization.p, at }, scheme) || authorization.p[at] != ' ')
        return false;
    while (at < authorization.len && authorization.p[at] == ' ')
        at++;
    if (at == authorization.len)
        return false;
    *ret = (struct vwi_span){ authorization.p + at, authorization.len - at };
    return true;
}

bool vwi_bearer_holds(struct vwi_bearer *bearer, struct vwi_span key)
{
    unsigned char presented[DIGEST_BYTES];
    unsigned found = 0;
    size_t i;

    if (!key.len || key.len > VWI_BEARER_KEY_BYTES || !digest(bearer, key, presented))
        return false;
    for (i = 0; i < bearer->count; i++)
        found |= CRYPTO_memcmp(bearer->digests[i], presented, DIGEST_BYTES) == 0;
    return found != 0;
}
