#include "core/token.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "core/bearer.h"

#define PRESENTED_MAX 4096 /* what is longer is no token, and not worth a long hash */

static bool digest(const char *p, size_t len, unsigned char ret[EVP_MAX_MD_SIZE])
{
    bool ok;

    ERR_set_mark();
    ok = EVP_Digest(p, len, ret, NULL, EVP_sha256(), NULL) == 1;
    ERR_pop_to_mark();
    return ok;
}

bool vwi_token_is(struct vwi_span presented, const char *secret)
{
    unsigned char theirs[EVP_MAX_MD_SIZE] = { 0 }, ours[EVP_MAX_MD_SIZE] = { 0 };
    bool fits = presented.len <= PRESENTED_MAX, same;

    if (!secret || !*secret)
        return false;
    if (!digest(presented.p ? presented.p : "", fits ? presented.len : 0, theirs) || !digest(secret, strlen(secret), ours))
        return false;
    same = CRYPTO_memcmp(theirs, ours, sizeof ours) == 0;
    OPENSSL_cleanse(ours, sizeof ours);
    return same && fits;
}

struct vwi_span vwi_token_presented(struct vwi_span authorization)
{
    struct vwi_span token;

    return vwi_bearer_token(authorization, &token) ? token : authorization;
}
