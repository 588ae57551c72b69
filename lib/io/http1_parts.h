/* What the three files of the request parser share: http1 (bytes), http1_parse (llhttp) and http1_rules (verdicts). */
#ifndef VWI_IO_HTTP1_PARTS_H
#define VWI_IO_HTTP1_PARTS_H

#include "io/http1.h"

/* http1.c */
enum vwi_http1_state vwi_http1_refuse(struct vwi_http1 *h, int status, const char *reason, const char *message);
enum vwi_http1_state vwi_http1_refuse_memory(struct vwi_http1 *h, bool budget);
bool vwi_http1_append(struct vwi_http1 *h, struct vwi_http1_bytes *b, const char *data, size_t len); /* false: refused */

/* http1_parse.c */
void vwi_http1_parse_begin(struct vwi_http1 *h);
/* Goes on in head. HEAD: more is needed; BODY: the head is whole and fine, scanned is its length. */
enum vwi_http1_state vwi_http1_parse_head(struct vwi_http1 *h);
/* Decodes chunks into body. DONE or BODY or REFUSED; *ret_used bytes were taken. */
enum vwi_http1_state vwi_http1_parse_chunks(struct vwi_http1 *h, const char *data, size_t len, size_t *ret_used);

/* http1_rules.c; false: refused */
bool vwi_http1_judge_line(struct vwi_http1 *h);
bool vwi_http1_judge_head(struct vwi_http1 *h);
bool vwi_http1_method_served(unsigned method); /* an llhttp method that we pass on */

#endif
