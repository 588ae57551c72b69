/*
 * With PKCS#1 v1.5 a url has exactly one signature under a key, so the table of good pairs grows only by what the platform
 * signed, whatever clients send: it is looked up by a digest over the signed text and the decoded signature, and spellings of the
 * base64 do not matter. Before that comes a comparison with the last good pair as it was sent, which is nearly always the same.
 *
 * OpenSSL's error queue belongs to the host: whatever fails here is taken out of it again.
 */
#include "core/auth.h"

#include <stdint.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/err.h"
#include "base/mem.h"

#define DIGEST_BYTES 32
#define KEY_BITS_MIN 2048
#define KEY_BITS_MAX 8192
#define SIGNATURE_MAX (KEY_BITS_MAX / 8)
#define PAIRS_MAX 65536u
#define LAST_MAX 4096u
#define NOWHERE UINT32_MAX

/* A remembered pair; slots are used in turn, so the oldest is overwritten. */
struct slot {
    unsigned char id[DIGEST_BYTES];
    uint32_t next; /* in the same bucket */
    bool used;
};

struct vwi_verifier {
    EVP_PKEY *key;      /* NULL: none yet */
    EVP_PKEY_CTX *ctx;  /* ready to verify with key */
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
    struct vwi_text text; /* the canonical text, with room for the longest */
    struct slot *slots;
    uint32_t *buckets;
    uint32_t slot_count, bucket_count, turn;
    size_t last_url, last_signature; /* lengths; the bytes lie in last, the url first. 0: no last pair */
    char last[LAST_MAX];
};

static void forget(struct vwi_verifier *v)
{
    uint32_t i;

    for (i = 0; i < v->slot_count; i++)
        v->slots[i].used = false;
    for (i = 0; i < v->bucket_count; i++)
        v->buckets[i] = NOWHERE;
    v->turn = 0;
    v->last_signature = 0;
}

static vw_err make_table(struct vwi_verifier *v, size_t pairs)
{
    if (!pairs)
        return VW_OK;
    v->slot_count = pairs < PAIRS_MAX ? (uint32_t)pairs : PAIRS_MAX;
    for (v->bucket_count = 1; v->bucket_count < v->slot_count; v->bucket_count *= 2)
        ;
    v->slots = vwi_alloc(v->slot_count * sizeof *v->slots);
    v->buckets = vwi_alloc(v->bucket_count * sizeof *v->buckets);
    if (!v->slots || !v->buckets)
        return VW_E_NOMEM;
    forget(v);
    return VW_OK;
}

vw_err vwi_verifier_create(size_t remembered_pairs, struct vwi_verifier **ret, vw_error_t *why)
{
    struct vwi_verifier *v = vwi_zalloc(sizeof *v);
    vw_err err = VW_E_NOMEM;

    if (!v || make_table(v, remembered_pairs) != VW_OK || !vwi_text_reserve(&v->text, VWI_AUTH_URL_MAX * 6 + 64))
        goto out;
    ERR_set_mark();
    v->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    v->digest = EVP_MD_CTX_new();
    ERR_pop_to_mark();
    if (!v->sha256 || !v->digest) {
        err = vwi_fail(why, VW_E_STATE, "OpenSSL has no SHA-256; check its configuration and providers");
        goto out;
    }
    *ret = v;
    v = NULL;
    err = VW_OK;
out:
    if (err == VW_E_NOMEM)
        vwi_fail(why, err, "no memory for the table of verified signatures");
    vwi_verifier_destroy(v);
    return err;
}

void vwi_verifier_destroy(struct vwi_verifier *v)
{
    if (!v)
        return;
    EVP_PKEY_CTX_free(v->ctx);
    EVP_PKEY_free(v->key);
    EVP_MD_CTX_free(v->digest);
    EVP_MD_free(v->sha256);
    vwi_text_fini(&v->text);
    vwi_free(v->slots);
    vwi_free(v->buckets);
    vwi_free(v);
}

/* An empty passphrase keeps OpenSSL from asking for one on the terminal. */
static vw_err decode_key(const char *pem, size_t len, EVP_PKEY **ret, vw_error_t *why)
{
    const unsigned char *data = (const unsigned char *)pem;
    OSSL_DECODER_CTX *decoder;
    EVP_PKEY *key = NULL;
    bool decoded;
    int bits;

    if (memmem(pem, len, "PRIVATE KEY", 11))
        return vwi_fail(why, VW_E_PARSE, "this is a private key; the worker needs the public one only");
    decoder = OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", NULL, "RSA", EVP_PKEY_PUBLIC_KEY, NULL, NULL);
    decoded = decoder && OSSL_DECODER_CTX_set_passphrase(decoder, (const unsigned char *)"", 0) &&
              OSSL_DECODER_from_data(decoder, &data, &len) && key && EVP_PKEY_is_a(key, "RSA");
    OSSL_DECODER_CTX_free(decoder);
    bits = decoded ? EVP_PKEY_get_bits(key) : 0;
    if (bits >= KEY_BITS_MIN && bits <= KEY_BITS_MAX) {
        *ret = key;
        return VW_OK;
    }
    EVP_PKEY_free(key);
    if (!decoded)
        return vwi_fail(why, VW_E_PARSE, "no RSA public key in PEM (\"BEGIN PUBLIC KEY\" or \"BEGIN RSA PUBLIC KEY\")");
    return vwi_fail(why, VW_E_PARSE, "an RSA key of %d bits; keys of %d to %d bits are taken", bits, KEY_BITS_MIN, KEY_BITS_MAX);
}

static EVP_PKEY_CTX *make_context(EVP_PKEY *key, const EVP_MD *sha256)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

    if (ctx && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
        EVP_PKEY_CTX_set_signature_md(ctx, sha256) == 1)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

vw_err vwi_verifier_set_key(struct vwi_verifier *v, const char *pem, size_t len, vw_error_t *why)
{
    EVP_PKEY_CTX *ctx = NULL;
    EVP_PKEY *key = NULL;
    vw_err err;

    ERR_set_mark();
    err = decode_key(pem, len, &key, why);
    if (err != VW_OK || (v->key && EVP_PKEY_eq(v->key, key) == 1))
        goto out;
    ctx = make_context(key, v->sha256);
    if (!ctx) {
        err = vwi_fail(why, VW_E_STATE, "OpenSSL cannot verify RSA signatures; check its configuration and providers");
        goto out;
    }
    EVP_PKEY_CTX_free(v->ctx);
    EVP_PKEY_free(v->key);
    v->ctx = ctx;
    v->key = key;
    key = NULL;
    forget(v);
out:
    EVP_PKEY_free(key);
    ERR_pop_to_mark();
    return err;
}

bool vwi_verifier_has_key(const struct vwi_verifier *v) { return v->key != NULL; }

static uint32_t *bucket_of(struct vwi_verifier *v, const unsigned char *id)
{
    uint32_t hash;

    memcpy(&hash, id, sizeof hash);
    return &v->buckets[hash & (v->bucket_count - 1)];
}

static bool is_remembered(struct vwi_verifier *v, const unsigned char *id)
{
    uint32_t at;

    if (!v->slot_count)
        return false;
    for (at = *bucket_of(v, id); at != NOWHERE; at = v->slots[at].next) {
        if (memcmp(v->slots[at].id, id, DIGEST_BYTES) == 0)
            return true;
    }
    return false;
}

static void remember(struct vwi_verifier *v, const unsigned char *id)
{
    struct slot *slot = &v->slots[v->turn];
    uint32_t *link;

    if (!v->slot_count)
        return;
    if (slot->used) {
        for (link = bucket_of(v, slot->id); *link != v->turn; link = &v->slots[*link].next)
            ;
        *link = slot->next;
    }
    memcpy(slot->id, id, DIGEST_BYTES);
    link = bucket_of(v, id);
    slot->next = *link;
    slot->used = true;
    *link = v->turn;
    v->turn = (v->turn + 1) % v->slot_count;
}

static bool same(struct vwi_span a, const char *p, size_t len)
{
    return a.len == len && (!len || memcmp(a.p, p, len) == 0);
}

static bool is_last(const struct vwi_verifier *v, struct vwi_span url, struct vwi_span signature)
{
    return v->last_signature && same(signature, v->last + v->last_url, v->last_signature) && same(url, v->last, v->last_url);
}

static void keep_as_last(struct vwi_verifier *v, struct vwi_span url, struct vwi_span signature)
{
    if (!v->slot_count || url.len + signature.len > sizeof v->last)
        return;
    if (url.len)
        memcpy(v->last, url.p, url.len);
    memcpy(v->last + url.len, signature.p, signature.len);
    v->last_url = url.len;
    v->last_signature = signature.len;
}

static bool digest(struct vwi_verifier *v, const void *a, size_t a_len, const void *b, size_t b_len, unsigned char *ret)
{
    return EVP_DigestInit_ex2(v->digest, v->sha256, NULL) == 1 && EVP_DigestUpdate(v->digest, a, a_len) == 1 &&
           EVP_DigestUpdate(v->digest, b, b_len) == 1 && EVP_DigestFinal_ex(v->digest, ret, NULL) == 1;
}

static bool verify(struct vwi_verifier *v, struct vwi_span url, const unsigned char *signature, size_t len)
{
    unsigned char text_digest[DIGEST_BYTES], id[DIGEST_BYTES];

    vwi_text_clear(&v->text);
    if (!vwi_auth_canonical(url, &v->text) || !digest(v, v->text.p, v->text.len, "", 0, text_digest) ||
        !digest(v, text_digest, sizeof text_digest, signature, len, id))
        return false;
    if (is_remembered(v, id))
        return true;
    if (EVP_PKEY_verify(v->ctx, signature, len, text_digest, sizeof text_digest) != 1)
        return false;
    remember(v, id);
    return true;
}

enum vwi_auth_verdict vwi_verifier_judge(struct vwi_verifier *v, struct vwi_span expected_url, struct vwi_span url,
                                         struct vwi_span signature)
{
    unsigned char raw[SIGNATURE_MAX];
    size_t len;
    bool good;

    if (!v->key)
        return VWI_AUTH_NO_KEY;
    if (expected_url.len && !same(url, expected_url.p, expected_url.len))
        return VWI_AUTH_FOREIGN_URL;
    if (is_last(v, url, signature))
        return VWI_AUTH_GOOD;
    if (url.len > VWI_AUTH_URL_MAX || !vwi_base64_into(signature, false, raw, sizeof raw, &len))
        return VWI_AUTH_BAD_SIGNATURE;
    ERR_set_mark();
    good = verify(v, url, raw, len);
    ERR_pop_to_mark();
    if (!good)
        return VWI_AUTH_BAD_SIGNATURE;
    keep_as_last(v, url, signature);
    return VWI_AUTH_GOOD;
}
