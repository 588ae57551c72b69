/* The remembered score is three lines of text; anything unexpected in it means "measure anew", never a wrong capacity. */
#include "core/score.h"

#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/vwi.h"
#include "core/literal.h"
#include "core/scan.h"

#define HEAD "vastworker score 1\n"
#define HEX_LEN 64

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Of sorted rounds: those without a success come first. */
static size_t failures_of(const double *rounds, size_t count)
{
    size_t n = 0;

    while (n < count && !(rounds[n] > 0))
        n++;
    return n;
}

static double median_of(const double *sorted, size_t count)
{
    if (!count)
        return 0;
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double vwi_score_median(double *rounds, size_t count)
{
    size_t skip;

    if (!count)
        return 0;
    qsort(rounds, count, sizeof *rounds, by_value);
    skip = failures_of(rounds, count);
    return median_of(rounds + skip, count - skip);
}

double vwi_score_spread(const double *rounds, size_t count)
{
    size_t skip = failures_of(rounds, count);

    return skip == count ? 0 : (rounds[count - 1] - rounds[skip]) / median_of(rounds + skip, count - skip);
}

static bool digest(const char *key, char hex[HEX_LEN + 1])
{
    unsigned char md[32];
    unsigned len = sizeof md;
    size_t i;

    if (EVP_Digest(key, strlen(key), md, &len, EVP_sha256(), NULL) != 1 || len != sizeof md)
        return false;
    for (i = 0; i < sizeof md; i++)
        snprintf(hex + 2 * i, 3, "%02x", md[i]);
    return true;
}

bool vwi_score_render(const char *key, double score, struct vwi_text *ret)
{
    char hex[HEX_LEN + 1];

    return digest(key, hex) && vwi_text_addf(ret, HEAD "%s\n", hex) && vwi_literal_number(ret, score) && vwi_text_adds(ret, "\n");
}

vw_err vwi_score_parse(struct vwi_span text, const char *key, double *ret_score, vw_error_t *why)
{
    const size_t head_len = strlen(HEAD);
    char hex[HEX_LEN + 1];
    struct vwi_span number;
    double score;

    if (text.len < head_len + HEX_LEN + 2 || memcmp(text.p, HEAD, head_len) != 0 || text.p[head_len + HEX_LEN] != '\n')
        return vwi_fail(why, VW_E_PARSE, "not a remembered score");
    if (!digest(key, hex))
        return vwi_fail(why, VW_E_NOMEM, "SHA-256 failed");
    if (memcmp(text.p + head_len, hex, HEX_LEN) != 0)
        return vwi_fail(why, VW_E_STATE, "measured for another configuration");
    number = (struct vwi_span){ text.p + head_len + HEX_LEN + 1, text.len - (head_len + HEX_LEN + 2) };
    if (text.p[text.len - 1] != '\n' || !vwi_scan_number(number, &score) || !isfinite(score) || score <= 0)
        return vwi_fail(why, VW_E_PARSE, "not a remembered score");
    *ret_score = score;
    return VW_OK;
}
