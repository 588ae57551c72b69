/*
 * Key and signature. The signed text is pretty JSON with 4 spaces and ASCII escapes, as the platform's control plane
 * writes it; it is built by hand because jansson escapes in upper case and leaves 0x7f alone.
 */
#include "sim_key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "sim_file.h"

#define KEY_BITS 2048

struct sim_key {
    EVP_PKEY *pkey;
};

static vw_err fail_openssl(vw_error_t *why, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return vwi_fail(why, VW_E_IO, "%s: %s", what, reason ? reason : "OpenSSL refused it");
}

static vw_err adopt(EVP_PKEY *pkey, struct sim_key **ret, vw_error_t *why)
{
    struct sim_key *key = vwi_zalloc(sizeof *key);

    if (!key) {
        EVP_PKEY_free(pkey);
        return vwi_fail(why, VW_E_NOMEM, "key: out of memory");
    }
    key->pkey = pkey;
    *ret = key;
    return VW_OK;
}

vw_err sim_key_make(struct sim_key **ret, vw_error_t *why)
{
    EVP_PKEY *pkey = EVP_RSA_gen(KEY_BITS);

    return pkey ? adopt(pkey, ret, why) : fail_openssl(why, "making an RSA key");
}

/* Never asks on the terminal: a key behind a passphrase is refused. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf, (void)size, (void)rwflag, (void)arg;
    return -1;
}

vw_err sim_key_load(const char *path, struct sim_key **ret, vw_error_t *why)
{
    struct vwi_text pem = VWI_TEXT_INIT;
    EVP_PKEY *pkey = NULL;
    BIO *bio = NULL;
    vw_err err = sim_file_read(path, &pem, why);

    if (err != VW_OK)
        goto out;
    bio = BIO_new_mem_buf(pem.p, (int)pem.len);
    if (bio)
        pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (!pkey || EVP_PKEY_base_id(pkey) != EVP_PKEY_RSA) {
        ERR_clear_error();
        EVP_PKEY_free(pkey);
        err = vwi_fail(why, VW_E_CONFIG, "%s: not a private RSA key in PEM form without a passphrase", path);
        goto out;
    }
    err = adopt(pkey, ret, why);
out:
    BIO_free(bio);
    if (pem.p)
        OPENSSL_cleanse(pem.p, pem.len);
    vwi_text_fini(&pem);
    return err;
}

void sim_key_free(struct sim_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    vwi_free(key);
}

vw_err sim_key_save(const struct sim_key *key, const char *path, vw_error_t *why)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    long len;
    vw_err err;

    if (!bio || PEM_write_bio_PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
        err = fail_openssl(why, path);
        goto out;
    }
    len = BIO_get_mem_data(bio, &data);
    err = sim_file_write(path, 0600, data, (size_t)len, why);
    OPENSSL_cleanse(data, (size_t)len);
out:
    BIO_free(bio);
    return err;
}

vw_err sim_key_public_pem(const struct sim_key *key, struct vwi_text *ret, vw_error_t *why)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    long len;
    vw_err err = VW_OK;

    if (!bio || PEM_write_bio_PUBKEY(bio, key->pkey) != 1) {
        err = fail_openssl(why, "writing the public key");
        goto out;
    }
    len = BIO_get_mem_data(bio, &data);
    if (!vwi_text_add(ret, data, (size_t)len))
        err = vwi_fail(why, VW_E_NOMEM, "public key: out of memory");
out:
    BIO_free(bio);
    return err;
}

/* One code point of UTF-8 at s; 0 bytes taken = malformed. Overlong forms, surrogates and > U+10FFFF are malformed. */
static size_t decode_utf8(const unsigned char *s, uint32_t *ret)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t len = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    uint32_t c = len == 1 ? s[0] : s[0] & (0x7fu >> len);
    size_t i;

    for (i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if (!len || (len > 1 && c < least[len]) || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
        return 0;
    *ret = c;
    return len;
}

static void add_code_point(struct vwi_text *t, uint32_t c)
{
    static const char shorts[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = c && c < 0x80 ? strchr(shorts, (int)c) : NULL;

    if (at)
        vwi_text_addf(t, "\\%c", letters[at - shorts]);
    else if (c >= 0x20 && c < 0x7f)
        vwi_text_addf(t, "%c", (int)c);
    else if (c < 0x10000)
        vwi_text_addf(t, "\\u%04x", (unsigned)c);
    else
        vwi_text_addf(t, "\\u%04x\\u%04x", (unsigned)(0xd800 + ((c - 0x10000) >> 10)),
                      (unsigned)(0xdc00 + ((c - 0x10000) & 0x3ff)));
}

vw_err sim_key_signed_text(const char *url, struct vwi_text *ret, vw_error_t *why)
{
    const unsigned char *s = (const unsigned char *)url;
    uint32_t c = 0;
    size_t n;

    if (!*s)
        return vwi_fail(why, VW_E_ARG, "url: must not be empty");
    vwi_text_adds(ret, "{\n    \"url\": \"");
    for (; *s; s += n) {
        n = decode_utf8(s, &c);
        if (!n)
            return vwi_fail(why, VW_E_ARG, "url: must be UTF-8");
        add_code_point(ret, c);
    }
    vwi_text_adds(ret, "\"\n}");
    return ret->failed ? vwi_fail(why, VW_E_NOMEM, "url: out of memory") : VW_OK;
}

vw_err sim_base64(const void *data, size_t len, struct vwi_text *ret, vw_error_t *why)
{
    size_t room = 4 * ((len + 2) / 3) + 1;

    if (!vwi_text_reserve(ret, room))
        return vwi_fail(why, VW_E_NOMEM, "base64: out of memory");
    ret->len += (size_t)EVP_EncodeBlock((unsigned char *)ret->p + ret->len, data, (int)len);
    return VW_OK;
}

vw_err sim_key_sign_url(const struct sim_key *key, const char *url, struct vwi_text *ret, vw_error_t *why)
{
    struct vwi_text text = VWI_TEXT_INIT;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char signature[EVP_MAX_MD_SIZE * 32]; /* RSA up to 16384 bits */
    size_t len = sizeof signature;
    vw_err err = sim_key_signed_text(url, &text, why);

    if (err != VW_OK)
        goto out;
    if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) != 1 ||
        EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text.p, text.len) != 1) {
        err = fail_openssl(why, "signing");
        goto out;
    }
    err = sim_base64(signature, len, ret, why);
out:
    EVP_MD_CTX_free(ctx);
    vwi_text_fini(&text);
    return err;
}
