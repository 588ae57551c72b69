/*
 * Sessions: who holds one, how long it lasts, what happens at its end. Knows no sockets; requests inside are nodes of a list that their
 * owner reads. Source: the platform's protocol, docs/sessions.md.
 */
#ifndef VWI_CORE_SESSION_H
#define VWI_CORE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <vastworker/err.h>

#include "base/list.h"
#include "base/text.h"
#include "core/ledger.h"

#define VWI_SESSION_ID 13 /* characters A-Z a-z 0-9 */
#define VWI_SESSION_DIGEST 32

struct vwi_sessions_table;

struct vwi_session {
    struct vwi_list node, requests; /* in its bucket; the running requests inside */
    char id[VWI_SESSION_ID + 1];
    unsigned char auth[VWI_SESSION_DIGEST];
    json_t *auth_data;              /* as it was sent */
    char *on_close_route;           /* NULL: nobody is told */
    json_t *on_close_payload;       /* NULL: null */
    double lifetime_s, created_s;   /* created: epoch */
    int64_t created_ms, expires_ms; /* monotonic */
    struct vwi_entry entry;         /* in the books */
};

/* max 0: no limit. max_lifetime_s: the most that a session may have left to live; 0: no limit. */
vw_err vwi_sessions_table_create(unsigned max, double max_lifetime_s, struct vwi_sessions_table **ret, vw_error_t *why);
void vwi_sessions_table_destroy(struct vwi_sessions_table *table); /* with what is in it */
size_t vwi_sessions_count(const struct vwi_sessions_table *table);
bool vwi_sessions_full(const struct vwi_sessions_table *table);

/* From random bytes, without favouring any character. False: they do not suffice (one in a million of 32), ask with others. */
bool vwi_session_id_make(const unsigned char *random, size_t len, char ret[VWI_SESSION_ID + 1]);
/* SHA-256 of a value by its meaning: the order of keys does not matter, 50 is 50.0, true is not 1. False: no memory. */
bool vwi_session_digest(const json_t *value, unsigned char ret[VWI_SESSION_DIGEST]);
bool vwi_session_auth_is(const struct vwi_session *session, const json_t *auth); /* in constant time */

/* Copies nothing but id; the rest of what is kept is filled by the caller. NULL: no memory. lifetime_s > 0. */
struct vwi_session *vwi_session_open(struct vwi_sessions_table *table, const char *id, double lifetime_s, double wall_s, int64_t now_ms);
struct vwi_session *vwi_session_find(const struct vwi_sessions_table *table, struct vwi_span id);
void vwi_session_touch(struct vwi_sessions_table *table, struct vwi_session *session, int64_t now_ms); /* one lifetime more */
double vwi_session_expiration_s(const struct vwi_session *session);                                    /* epoch */
/* Out of the table; what it holds is the caller's to read until vwi_session_free(). */
void vwi_session_remove(struct vwi_sessions_table *table, struct vwi_session *session);
void vwi_session_free(struct vwi_session *session);
/* One whose time is up, still in the table; NULL: none. */
struct vwi_session *vwi_sessions_expired(struct vwi_sessions_table *table, int64_t now_ms);
struct vwi_session *vwi_sessions_first(const struct vwi_sessions_table *table); /* any; NULL: none */
struct vwi_session *vwi_sessions_next(const struct vwi_sessions_table *table, const struct vwi_session *session);
/* When to ask vwi_sessions_expired() next, perhaps too early; -1: there is none. */
int64_t vwi_sessions_look_ms(const struct vwi_sessions_table *table);

/* What the model server is told at the end: a copy of on_close_payload with session_id in it. NULL: no memory. */
json_t *vwi_session_farewell(const struct vwi_session *session);
/* "/path?query" at the model server and nothing that could lead elsewhere. */
bool vwi_session_route_is_good(const char *route, size_t len);

#endif
