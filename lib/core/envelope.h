/*
 * The request envelope {auth_data, payload, session_id}: which bytes are what, and the answer for one that is malformed.
 * One pass over the body, no copy of the payload, no allocation unless a string of ours holds escapes or the body is refused.
 * Of repeated keys the last wins, whatever its spelling.
 */
#ifndef VWI_CORE_ENVELOPE_H
#define VWI_CORE_ENVELOPE_H

#include <stdbool.h>

#include "base/text.h"
#include "core/auth_param.h"
#include "core/scan.h"

/* Bits of vwi_auth_data.has, in the order in which a refusal lists them. */
#define VWI_AUTH_COST 1u
#define VWI_AUTH_ENDPOINT 2u
#define VWI_AUTH_REQNUM 4u
#define VWI_AUTH_REQUEST_IDX 8u
#define VWI_AUTH_SIGNATURE 16u
#define VWI_AUTH_URL 32u
#define VWI_AUTH_ALL 63u

/* A longer url, signature or endpoint is of the wrong type; a longer session_id is of no session. */
#define VWI_AUTH_STRING_MAX 16384

struct vwi_auth_data {
    bool present;
    unsigned has; /* all of them unless the rules are partial */
    double cost;  /* any sign, possibly infinite: vwi_workload_valid() decides */
    long long reqnum, request_idx;
    struct vwi_span url, signature, endpoint; /* unescaped; they point into the body, or into scratch */
    struct vwi_span raw;                      /* the JSON object as sent; empty when it came in the query */
};

struct vwi_envelope {
    struct vwi_auth_data auth;
    struct vwi_span payload;    /* the bytes of the member, untouched: an object */
    struct vwi_span session_id; /* unescaped; empty for an id that no session can have: "", a number, a boolean */
    bool has_session;
    struct vwi_text scratch;
};

enum vwi_envelope_verdict {
    VWI_ENVELOPE_OK,
    VWI_ENVELOPE_INVALID_JSON, /* 422; with partial rules a body that is no JSON is relayed as it is, as PLAIN is */
    VWI_ENVELOPE_INVALID,      /* 422 */
    VWI_ENVELOPE_NOMEM,
    VWI_ENVELOPE_PLAIN /* only with partial rules: JSON that is not an object with a member "payload" */
};

struct vwi_envelope_rules {
    int max_depth; /* containers inside each other, the envelope itself being the first */
    bool partial;  /* unsecured: auth_data may be partial or absent */
};

/*
 * Spans in *ret are borrowed from body. *ret is overwritten and needs vwi_envelope_fini() after every verdict, also before it is
 * used again. ret_body gets the 422 body appended, with INVALID_JSON and INVALID only.
 */
enum vwi_envelope_verdict vwi_envelope_parse(struct vwi_span body, const struct vwi_envelope_rules *rules,
                                             struct vwi_envelope *ret, struct vwi_text *ret_body);
/* Plain form: auth_data alone, from the header X-Vast-Auth after base64. Fills only auth. Never PLAIN. */
enum vwi_envelope_verdict vwi_auth_data_parse(struct vwi_span json, const struct vwi_envelope_rules *rules,
                                              struct vwi_envelope *ret, struct vwi_text *ret_body);
/*
 * Plain form: parameters serverless_cost, _endpoint, ... of a query (without '?'), percent-decoded. OK with auth.present false
 * when there is none of them. A '+' in the signature stands for itself. Never PLAIN, never INVALID_JSON.
 */
enum vwi_envelope_verdict vwi_auth_data_from_query(struct vwi_span query, const struct vwi_envelope_rules *rules,
                                                   struct vwi_envelope *ret, struct vwi_text *ret_body);
/* The query without its serverless_* parameters, the rest as it stands. False: no memory. */
bool vwi_query_without_auth(struct vwi_span query, struct vwi_text *out);
void vwi_envelope_fini(struct vwi_envelope *envelope); /* accepts NULL and a zeroed struct */

/*
 * The same while the body arrives. Each byte is looked at once; the body may lie somewhere else at each call, since only places are
 * kept. The verdict at the end is that of vwi_envelope_parse, whatever the pieces were.
 */
enum vwi_envelope_fed {
    VWI_FED_MORE,
    VWI_FED_AUTH, /* auth_data has ended, and no payload came before it: told as soon as that is so. Go on as after MORE */
    VWI_FED_BAD,  /* whatever follows, this is no JSON or nested too deeply */
    VWI_FED_NOMEM
};

struct vwi_envelope_feed { /* private to envelope.c */
    struct vwi_envelope_rules rules;
    struct vwi_scan_range auth, payload, session_id, params[VWI_PARAMS];
    enum { VWI_MEMBER_OTHER, VWI_MEMBER_AUTH, VWI_MEMBER_PAYLOAD, VWI_MEMBER_SESSION } member; /* whose value is under way */
    int param;         /* the same within auth_data, or -1 */
    bool payload_seen; /* its key */
    struct vwi_scan scan;
};

void vwi_envelope_feed_init(struct vwi_envelope_feed *f, const struct vwi_envelope_rules *rules);
void vwi_envelope_feed_fini(struct vwi_envelope_feed *f); /* accepts NULL */
/* body: the len bytes that have come so far, those of the calls before among them. */
enum vwi_envelope_fed vwi_envelope_feed(struct vwi_envelope_feed *f, const char *body, size_t len);
/* No more will come of a body that may be anything: is it JSON? */
bool vwi_envelope_feed_is_json(struct vwi_envelope_feed *f, const char *body, size_t len);
static inline const struct vwi_scan *vwi_envelope_feed_scan(const struct vwi_envelope_feed *f) { return &f->scan; }
/* After AUTH: fills only auth; *ret needs vwi_envelope_fini() after either answer. False: malformed (or no memory), which the end tells. */
bool vwi_envelope_feed_auth(const struct vwi_envelope_feed *f, const char *body, struct vwi_envelope *ret);
/* No more will come. As vwi_envelope_parse. */
enum vwi_envelope_verdict vwi_envelope_feed_end(struct vwi_envelope_feed *f, const char *body, size_t len, struct vwi_envelope *ret,
                                                struct vwi_text *ret_body);

#endif
