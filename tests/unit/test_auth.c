/* Signatures: the signed text, base64, keys, good and bad pairs, what is remembered. Keys are made here. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/auth.h"

#define SPAN(text) ((struct vwi_span){ text, sizeof(text) - 1 })
#define URL "https://203.0.113.7:41234"
#define ANY_URL ((struct vwi_span){ NULL, 0 })

/* A key of its own, its public half as PEM, and signing as the platform does it. */
struct signer {
    EVP_PKEY *key;
    char pem[4096];
    size_t pem_len;
};

static void encode_public(EVP_PKEY *key, const char *structure, char *out, size_t size, size_t *ret_len)
{
    OSSL_ENCODER_CTX *encoder = OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_PUBLIC_KEY, "PEM", structure, NULL);
    unsigned char *data = NULL;
    size_t len = 0;

    ck_assert(OSSL_ENCODER_to_data(encoder, &data, &len) && len < size);
    memcpy(out, data, len);
    out[len] = '\0';
    *ret_len = len;
    OPENSSL_free(data);
    OSSL_ENCODER_CTX_free(encoder);
}

static void make_signer(struct signer *s, unsigned bits)
{
    s->key = EVP_RSA_gen(bits);
    ck_assert_ptr_nonnull(s->key);
    encode_public(s->key, "SubjectPublicKeyInfo", s->pem, sizeof s->pem, &s->pem_len);
}

/* base64 of the signature of a text; returns its length. */
static size_t sign_text(const struct signer *s, const char *text, size_t len, char out[2048])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char raw[1024];
    size_t raw_len = sizeof raw;

    ck_assert(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, s->key) == 1);
    ck_assert(EVP_DigestSign(ctx, raw, &raw_len, (const unsigned char *)text, len) == 1);
    EVP_MD_CTX_free(ctx);
    return (size_t)EVP_EncodeBlock((unsigned char *)out, raw, (int)raw_len);
}

static struct vwi_span sign(const struct signer *s, const char *url, char out[2048])
{
    struct vwi_text text = VWI_TEXT_INIT;
    size_t len;

    ck_assert(vwi_auth_canonical((struct vwi_span){ url, strlen(url) }, &text));
    len = sign_text(s, text.p, text.len, out);
    vwi_text_fini(&text);
    return (struct vwi_span){ out, len };
}

static struct vwi_verifier *verifier_for(const struct signer *s, size_t pairs)
{
    struct vwi_verifier *v = NULL;
    vw_error_t why = { 0 };

    ck_assert_int_eq(vwi_verifier_create(pairs, &v, &why), VW_OK);
    ck_assert(!vwi_verifier_has_key(v));
    ck_assert_msg(vwi_verifier_set_key(v, s->pem, s->pem_len, &why) == VW_OK, "%s", why.text);
    ck_assert(vwi_verifier_has_key(v));
    return v;
}

START_TEST(signed_text_is_the_platforms_byte_for_byte)
{
    static const unsigned char digest[32] = { 0x45, 0x48, 0x01, 0x13, 0x29, 0x45, 0xa3, 0x34, 0x2c, 0x59, 0x81,
                                              0x1e, 0xe8, 0xc8, 0x5c, 0x11, 0xe1, 0x30, 0xf6, 0x9f, 0xdb, 0x02,
                                              0xbf, 0x73, 0xe2, 0xd5, 0x22, 0x27, 0x29, 0xb1, 0x09, 0xf6 };
    struct vwi_text text = VWI_TEXT_INIT;
    unsigned char got[32];

    ck_assert(vwi_auth_canonical(SPAN(URL), &text));
    ck_assert_str_eq(text.p, "{\n    \"url\": \"" URL "\"\n}");
    ck_assert_uint_eq(text.len, 42);
    ck_assert(EVP_Q_digest(NULL, "SHA256", NULL, text.p, text.len, got, NULL));
    ck_assert_mem_eq(got, digest, sizeof digest);
    vwi_text_fini(&text);
}
END_TEST

START_TEST(signed_text_escapes_as_python_does)
{
    static const struct {
        struct vwi_span url;
        const char *text;
    } cases[] = {
        { SPAN(""), "" },
        { SPAN("a\"b\\c/d"), "a\\\"b\\\\c/d" },
        { SPAN("\b\f\n\r\t\x01\x1f \x7e\x7f"), "\\b\\f\\n\\r\\t\\u0001\\u001f ~\\u007f" },
        { SPAN("\0"), "\\u0000" },
        { SPAN("\xc3\xa9\xe2\x82\xac\xef\xbf\xbd"), "\\u00e9\\u20ac\\ufffd" },
        { SPAN("\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"), "\\ud83d\\ude00\\udbff\\udfff" },
    };
    static const struct vwi_span refused[] = { SPAN("a\xff"), SPAN("\xc3"), SPAN("\xed\xa0\x80"), SPAN("x\x80y") };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(cases); i++) {
        struct vwi_text text = VWI_TEXT_INIT, want = VWI_TEXT_INIT;

        vwi_text_addf(&want, "{\n    \"url\": \"%s\"\n}", cases[i].text);
        ck_assert(vwi_auth_canonical(cases[i].url, &text));
        ck_assert_str_eq(text.p, want.p);
        vwi_text_fini(&text);
        vwi_text_fini(&want);
    }
    for (i = 0; i < VWI_ARRAY_LEN(refused); i++) {
        struct vwi_text text = VWI_TEXT_INIT;

        vwi_text_adds(&text, "before");
        ck_assert(!vwi_auth_canonical(refused[i], &text));
        ck_assert_str_eq(text.p, "before");
        ck_assert(text.len == 6 && !text.failed);
        vwi_text_fini(&text);
    }
}
END_TEST

/* Lenient: what Python's b64decode makes of it. NULL: refused. */
static const struct {
    struct vwi_span in;
    const char *lenient, *strict;
} base64_cases[] = {
    { SPAN(""), "", "" },
    { SPAN("YWJj"), "abc", "abc" },
    { SPAN("YWI="), "ab", "ab" },
    { SPAN("YQ=="), "a", "a" },
    { SPAN("YWI"), NULL, "ab" },
    { SPAN("YQ"), NULL, "a" },
    { SPAN("Y"), NULL, NULL },
    { SPAN("YQ="), NULL, NULL },
    { SPAN("YWJjY"), NULL, NULL },
    { SPAN(" Y\nW!Jj\x80\0"), "abc", NULL },
    { SPAN("Y=W=J=j="), "ab", NULL },
    { SPAN("===YWJj"), "abc", NULL },
    { SPAN("YWJj="), "abc", NULL },
    { SPAN("YWI=YWJj"), "ab", NULL },
    { SPAN("YQ==!"), "a", NULL },
    { SPAN("YQ=\n="), "a", NULL },
    { SPAN("YQ=x="), "a\x0c", NULL },
    { SPAN("++//"), "\xfb\xef\xff", "\xfb\xef\xff" },
    { SPAN("--__"), "", "\xfb\xef\xff" },
    { SPAN("+-/_"), NULL, "\xfb\xef\xff" },
    { SPAN("YWJ="), "ab", NULL },
    { SPAN("YR=="), "a", NULL },
};

START_TEST(base64_is_read_as_the_platform_does_or_strictly)
{
    size_t i;
    int strict;

    for (i = 0; i < VWI_ARRAY_LEN(base64_cases); i++) {
        for (strict = 0; strict < 2; strict++) {
            const char *want = strict ? base64_cases[i].strict : base64_cases[i].lenient;
            struct vwi_text out = VWI_TEXT_INIT;
            vw_err err;

            vwi_text_adds(&out, "+");
            err = vwi_base64_decode(base64_cases[i].in, strict, &out);
            ck_assert_msg((err == VW_OK) == (want != NULL), "case %zu, strict %d", i, strict);
            ck_assert_msg(err == VW_OK || err == VW_E_PARSE, "case %zu", i);
            ck_assert_msg(strcmp(out.p + 1, want ? want : "") == 0, "case %zu, strict %d: %s", i, strict, out.p);
            ck_assert_uint_eq(out.len, strlen(out.p));
            vwi_text_fini(&out);
        }
    }
}
END_TEST

START_TEST(base64_of_any_length_comes_back)
{
    unsigned char raw[200], text[300], back[200];
    size_t len, i, got;

    for (i = 0; i < sizeof raw; i++)
        raw[i] = (unsigned char)(i * 167 + 13);
    for (len = 0; len <= sizeof raw; len++) {
        struct vwi_span in = { (const char *)text, (size_t)EVP_EncodeBlock(text, raw, (int)len) };

        ck_assert(vwi_base64_into(in, false, back, sizeof back, &got) && got == len && memcmp(raw, back, len) == 0);
        ck_assert(vwi_base64_into(in, true, back, len, &got) && got == len && memcmp(raw, back, len) == 0);
        if (len)
            ck_assert(!vwi_base64_into(in, false, back, len - 1, &got));
    }
}
END_TEST

START_TEST(secrets_are_compared_whole)
{
    ck_assert(vwi_secret_equal("", 0, "", 0) && vwi_secret_equal("abc", 3, "abc", 3));
    ck_assert(!vwi_secret_equal("abc", 3, "abd", 3) && !vwi_secret_equal("abc", 3, "ab", 2));
    ck_assert(!vwi_secret_equal("ab", 2, "abc", 3) && !vwi_secret_equal("", 0, "abc", 3));
    ck_assert(!vwi_secret_equal("ab\0", 3, "ab", 2) && !vwi_secret_equal("ab", 2, "ab\0", 3));
}
END_TEST

START_TEST(verifier_judges_signatures_of_its_key)
{
    struct signer ours, other;
    char signature[2048], foreign[2048], spoiled[2100];
    struct vwi_verifier *v;
    struct vwi_span good, bad;

    make_signer(&ours, 2048);
    make_signer(&other, 2048);
    v = verifier_for(&ours, 8);
    good = sign(&ours, URL, signature);
    bad = sign(&other, URL, foreign);
    ck_assert_uint_eq(good.len, 344);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), bad), VWI_AUTH_BAD_SIGNATURE);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), good), VWI_AUTH_GOOD);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), good), VWI_AUTH_GOOD);
    ck_assert_int_eq(vwi_verifier_judge(v, ANY_URL, SPAN(URL), good), VWI_AUTH_GOOD);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN("https://a:1"), SPAN(URL), good), VWI_AUTH_FOREIGN_URL);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL "/"), good), VWI_AUTH_FOREIGN_URL);
    ck_assert_int_eq(vwi_verifier_judge(v, ANY_URL, SPAN(URL "/"), good), VWI_AUTH_BAD_SIGNATURE);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), bad), VWI_AUTH_BAD_SIGNATURE);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), ANY_URL, good), VWI_AUTH_FOREIGN_URL);
    ck_assert_int_eq(vwi_verifier_judge(v, ANY_URL, ANY_URL, ANY_URL), VWI_AUTH_BAD_SIGNATURE);
    ck_assert_int_eq(vwi_verifier_judge(v, ANY_URL, SPAN("\xff"), good), VWI_AUTH_BAD_SIGNATURE);

    snprintf(spoiled, sizeof spoiled, " %.100s\n%.*s!", signature, 244, signature + 100);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), (struct vwi_span){ spoiled, strlen(spoiled) }), VWI_AUTH_GOOD);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), (struct vwi_span){ signature, 343 }), VWI_AUTH_BAD_SIGNATURE);
    signature[17] = signature[17] == 'A' ? 'B' : 'A';
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), good), VWI_AUTH_BAD_SIGNATURE);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    vwi_verifier_destroy(v);
    EVP_PKEY_free(ours.key);
    EVP_PKEY_free(other.key);
}
END_TEST

START_TEST(verifier_refuses_other_texts_and_giants)
{
    struct vwi_span long_url, long_signature;
    char signature[2048], *url = malloc(VWI_AUTH_URL_MAX + 2), *noise = malloc(100000);
    struct vwi_verifier *v;
    struct signer ours;

    make_signer(&ours, 2048);
    v = verifier_for(&ours, 8);
    long_signature = (struct vwi_span){ signature, sign_text(&ours, "{\"url\": \"" URL "\"}", 9 + sizeof URL + 1, signature) };
    ck_assert_int_eq(vwi_verifier_judge(v, ANY_URL, SPAN(URL), long_signature), VWI_AUTH_BAD_SIGNATURE);
    memset(url, 'u', VWI_AUTH_URL_MAX + 1);
    url[VWI_AUTH_URL_MAX] = '\0';
    long_url = (struct vwi_span){ url, VWI_AUTH_URL_MAX };
    ck_assert_int_eq(vwi_verifier_judge(v, long_url, long_url, sign(&ours, url, signature)), VWI_AUTH_GOOD);
    url[VWI_AUTH_URL_MAX] = 'u';
    url[VWI_AUTH_URL_MAX + 1] = '\0';
    long_url.len++;
    ck_assert_int_eq(vwi_verifier_judge(v, long_url, long_url, sign(&ours, url, signature)), VWI_AUTH_BAD_SIGNATURE);
    memset(noise, 'A', 100000);
    ck_assert_int_eq(vwi_verifier_judge(v, ANY_URL, SPAN(URL), (struct vwi_span){ noise, 100000 }), VWI_AUTH_BAD_SIGNATURE);
    vwi_verifier_destroy(v);
    EVP_PKEY_free(ours.key);
    free(url);
    free(noise);
}
END_TEST

/* More urls than the table holds, asked for in every order: an answer never depends on what is remembered. */
START_TEST(verdicts_do_not_depend_on_what_is_remembered)
{
    enum { URLS = 12 };
    static const size_t sizes[] = { 0, 1, 3, 8, 100 };
    static char signatures[URLS][2048];
    struct vwi_span good[URLS];
    char urls[URLS][64];
    struct signer ours;
    size_t i, k;

    make_signer(&ours, 2048);
    for (i = 0; i < URLS; i++) {
        snprintf(urls[i], sizeof urls[i], "https://198.51.100.%zu:4000", i);
        good[i] = sign(&ours, urls[i], signatures[i]);
    }
    for (k = 0; k < VWI_ARRAY_LEN(sizes); k++) {
        struct vwi_verifier *v = verifier_for(&ours, sizes[k]);

        for (i = 0; i < 400; i++) {
            size_t a = i * 7 % URLS, b = (i * i + i / 5) % URLS;
            struct vwi_span url = { urls[a], strlen(urls[a]) };

            ck_assert_int_eq(vwi_verifier_judge(v, url, url, good[b]), a == b ? VWI_AUTH_GOOD : VWI_AUTH_BAD_SIGNATURE);
            ck_assert_int_eq(vwi_verifier_judge(v, url, url, good[a]), VWI_AUTH_GOOD);
        }
        vwi_verifier_destroy(v);
    }
    EVP_PKEY_free(ours.key);
}
END_TEST

START_TEST(new_key_forgets_and_a_bad_one_changes_nothing)
{
    struct signer first, second;
    char signature[2048], other[2048];
    struct vwi_span good, good_other;
    vw_error_t why = { 0 };
    struct vwi_verifier *v;

    make_signer(&first, 2048);
    make_signer(&second, 3072);
    ck_assert_int_eq(vwi_verifier_create(4, &v, &why), VW_OK);
    good = sign(&first, URL, signature);
    good_other = sign(&second, URL, other);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN("x"), SPAN(URL), good), VWI_AUTH_NO_KEY);
    ck_assert_int_eq(vwi_verifier_set_key(v, first.pem, first.pem_len, &why), VW_OK);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), good), VWI_AUTH_GOOD);
    ck_assert_int_eq(vwi_verifier_set_key(v, first.pem, first.pem_len, &why), VW_OK);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), good), VWI_AUTH_GOOD);
    ck_assert_int_eq(vwi_verifier_set_key(v, "nonsense", 8, &why), VW_E_PARSE);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), good), VWI_AUTH_GOOD);
    ck_assert_int_eq(vwi_verifier_set_key(v, second.pem, second.pem_len, NULL), VW_OK);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), good), VWI_AUTH_BAD_SIGNATURE);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), good_other), VWI_AUTH_GOOD);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    vwi_verifier_destroy(v);
    EVP_PKEY_free(first.key);
    EVP_PKEY_free(second.key);
}
END_TEST

static void check_key(const char *pem, size_t len, const char *refusal)
{
    struct vwi_verifier *v;
    vw_error_t why = { 0 };
    vw_err err;

    ck_assert_int_eq(vwi_verifier_create(1, &v, &why), VW_OK);
    err = vwi_verifier_set_key(v, pem, len, &why);
    ck_assert_msg((err == VW_OK) == !refusal, "%s", why.text);
    ck_assert(vwi_verifier_has_key(v) == !refusal);
    if (refusal)
        ck_assert_msg(strstr(why.text, refusal) != NULL, "%s", why.text);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    vwi_verifier_destroy(v);
}

static void check_key_of(EVP_PKEY *key, const char *structure, const char *refusal)
{
    char pem[8192];
    size_t len;

    ck_assert_ptr_nonnull(key);
    encode_public(key, structure, pem, sizeof pem, &len);
    check_key(pem, len, refusal);
    EVP_PKEY_free(key);
}

START_TEST(keys_are_public_rsa_in_pem_of_a_sane_size)
{
    static const char junk[] = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    EVP_PKEY *key = EVP_RSA_gen(2048);
    char pem[8192], with_noise[9000];
    size_t len;

    check_key_of(EVP_RSA_gen(2048), "SubjectPublicKeyInfo", NULL);
    check_key_of(EVP_RSA_gen(2048), "type-specific", NULL);
    check_key_of(EVP_RSA_gen(1024), "SubjectPublicKeyInfo", "1024 bits");
    check_key_of(EVP_EC_gen("P-256"), "SubjectPublicKeyInfo", "no RSA public key");
    encode_public(key, "SubjectPublicKeyInfo", pem, sizeof pem, &len);
    snprintf(with_noise, sizeof with_noise, "\r\n# platform key\n%s\n\n", pem);
    check_key(with_noise, strlen(with_noise), NULL);
    check_key(pem, len / 2, "no RSA public key");
    check_key(junk, sizeof junk - 1, "no RSA public key");
    check_key("", 0, "no RSA public key");
    check_key("<html>502 Bad Gateway</html>", 28, "no RSA public key");
    check_key("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", 38, "private key");
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(every_failed_allocation_is_told_or_harmless)
{
    char signature[2048];
    struct vwi_verifier *v = NULL;
    struct vwi_text out = VWI_TEXT_INIT;
    vw_error_t why = { 0 };
    struct signer ours;
    struct vwi_span good;
    unsigned nth;
    vw_err err = VW_E_NOMEM;

    make_signer(&ours, 2048);
    good = sign(&ours, URL, signature);
    for (nth = 0; err == VW_E_NOMEM; nth++) {
        vwi_mem_fail_nth(nth);
        err = vwi_verifier_create(16, &v, &why);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || (err == VW_E_NOMEM && !v));
    }
    ck_assert_int_gt(nth, 3);
    ck_assert_int_eq(vwi_verifier_set_key(v, ours.pem, ours.pem_len, NULL), VW_OK);
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_verifier_judge(v, SPAN(URL), SPAN(URL), good), VWI_AUTH_GOOD);
    ck_assert_int_eq(vwi_base64_decode(SPAN("YWJj"), true, &out), VW_E_NOMEM);
    vwi_mem_fail_never();
    vwi_text_fini(&out);
    vwi_mem_fail_nth(0);
    ck_assert(!vwi_auth_canonical(SPAN(URL), &out) && out.failed);
    vwi_mem_fail_never();
    vwi_text_fini(&out);
    vwi_verifier_destroy(v);
    vwi_verifier_destroy(NULL);
    EVP_PKEY_free(ours.key);
}
END_TEST

Suite *auth_suite(void);

Suite *auth_suite(void)
{
    Suite *s = suite_create("auth");
    TCase *tc = tcase_create("auth");

    tcase_set_timeout(tc, 60); /* making keys takes as long as it takes */
    tcase_add_test(tc, signed_text_is_the_platforms_byte_for_byte);
    tcase_add_test(tc, signed_text_escapes_as_python_does);
    tcase_add_test(tc, base64_is_read_as_the_platform_does_or_strictly);
    tcase_add_test(tc, base64_of_any_length_comes_back);
    tcase_add_test(tc, secrets_are_compared_whole);
    tcase_add_test(tc, verifier_judges_signatures_of_its_key);
    tcase_add_test(tc, verifier_refuses_other_texts_and_giants);
    tcase_add_test(tc, verdicts_do_not_depend_on_what_is_remembered);
    tcase_add_test(tc, new_key_forgets_and_a_bad_one_changes_nothing);
    tcase_add_test(tc, keys_are_public_rsa_in_pem_of_a_sane_size);
    tcase_add_test(tc, every_failed_allocation_is_told_or_harmless);
    suite_add_tcase(s, tc);
    return s;
}
