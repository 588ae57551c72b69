/* OpenSSL's error queue belongs to the host: whatever fails here is taken out of it again. */
#include "core/bearer.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/priority.h"

#define DIGEST_BYTES 32

struct vwi_bearer {
    EVP_MD *sha256;
    EVP_MD_CTX *ctx;
    struct row {
        unsigned char digest[DIGEST_BYTES];
        struct vwi_bearer_rank rank;
    } *rows;
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
    vwi_free(bearer->rows);
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
    struct row *rows;

    if (bearer->count + count <= bearer->room)
        return true;
    rows = vwi_realloc(bearer->rows, (bearer->count + count) * sizeof *rows);
    if (!rows)
        return false;
    bearer->rows = rows;
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

/* A small whole number in digits, a minus before it at most. */
static bool read_priority(struct vwi_span text, int *ret)
{
    bool negative = text.len && text.p[0] == '-';
    size_t i = negative;
    int value = 0;

    if (i == text.len)
        return false;
    for (; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        value = value * 10 + (text.p[i] - '0');
        if (value > VWI_PRIORITY_MAX)
            return false;
    }
    *ret = negative ? -value : value;
    return true;
}

/* A piece as the key and what stands behind it. False: it is neither. */
static bool read_piece(struct vwi_span piece, struct vwi_span *ret_key, struct vwi_bearer_rank *ret_rank)
{
    static const char name[] = "priority=";
    size_t at = 0, len = sizeof name - 1;

    while (at < piece.len && piece.p[at] != ' ' && piece.p[at] != '\t')
        at++;
    *ret_key = (struct vwi_span){ piece.p, at };
    *ret_rank = (struct vwi_bearer_rank){ false, 0 };
    if (!is_key(*ret_key))
        return false;
    while (at < piece.len && (piece.p[at] == ' ' || piece.p[at] == '\t'))
        at++;
    if (at == piece.len)
        return true;
    ret_rank->has_priority = true;
    return piece.len - at > len && memcmp(piece.p + at, name, len) == 0 &&
           read_priority((struct vwi_span){ piece.p + at + len, piece.len - at - len }, &ret_rank->priority);
}

static bool is_skipped(struct vwi_span piece) { return !piece.len || piece.p[0] == '#'; }

static vw_err count_keys(struct vwi_span text, char separator, size_t *ret, vw_error_t *why)
{
    struct vwi_bearer_rank rank;
    struct vwi_span piece, key;
    size_t number = 0, count = 0;

    while (vwi_span_next(&text, separator, &piece)) {
        number++;
        if (is_skipped(piece))
            continue;
        if (!read_piece(piece, &key, &rank))
            return vwi_fail(why, VW_E_PARSE, "%s %zu: a key is 1 to %d visible ASCII characters without spaces; behind it may stand "
                            "priority=N, N from -%d to %d", separator == '\n' ? "line" : "entry", number, VWI_BEARER_KEY_BYTES,
                            VWI_PRIORITY_MAX, VWI_PRIORITY_MAX);
        count++;
    }
    *ret = count;
    return VW_OK;
}

vw_err vwi_bearer_add(struct vwi_bearer *bearer, struct vwi_span text, char separator, vw_error_t *why)
{
    size_t count = 0, added = 0;
    struct vwi_span piece, key;
    vw_err err = count_keys(text, separator, &count, why);

    if (err != VW_OK || !count)
        return err;
    if (bearer->count + count > VWI_BEARER_KEYS_MAX)
        return vwi_fail(why, VW_E_PARSE, "more than %d keys", VWI_BEARER_KEYS_MAX);
    if (!make_room(bearer, count))
        return vwi_fail(why, VW_E_NOMEM, "bearer keys: out of memory");
    while (vwi_span_next(&text, separator, &piece)) {
        struct row *row = &bearer->rows[bearer->count + added];

        if (is_skipped(piece) || !read_piece(piece, &key, &row->rank))
            continue;
        if (!digest(bearer, key, row->digest))
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

/* Without a branch on what fits, so that time does not tell. */
bool vwi_bearer_holds(struct vwi_bearer *bearer, struct vwi_span key, struct vwi_bearer_rank *ret_rank)
{
    unsigned char presented[DIGEST_BYTES];
    unsigned found = 0, has_priority = 0, priority = 0, mask;
    size_t i;

    if (!key.len || key.len > VWI_BEARER_KEY_BYTES || !digest(bearer, key, presented))
        return false;
    for (i = 0; i < bearer->count; i++) {
        const struct row *row = &bearer->rows[i];

        mask = 0u - (unsigned)(CRYPTO_memcmp(row->digest, presented, DIGEST_BYTES) == 0);
        found |= mask;
        has_priority = (has_priority & ~mask) | (row->rank.has_priority & mask);
        priority = (priority & ~mask) | ((unsigned)row->rank.priority & mask);
    }
    if (found)
        *ret_rank = (struct vwi_bearer_rank){ has_priority != 0, (int)priority };
    return found != 0;
}
