/* A small blocking HTTP server for the two actors: a thread for each connection, one request after another. */
#ifndef VWS_SERVER_H
#define VWS_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct served {
    int fd;
    char method[16];
    char target[1024];
    char *head; /* all of it, NUL-terminated */
    char *body;
    size_t len;
};

/* Answers the request; false: close the connection. */
typedef bool (*serve_fn)(void *arg, struct served *request);

struct server;
struct server *server_start(uint16_t port, serve_fn fn, void *arg);
struct server *server_start_raw(uint16_t port, serve_fn fn, void *arg); /* fn reads the body itself: body is NULL */
struct server *server_start_unix(const char *path, serve_fn fn, void *arg); /* raw, too */
uint16_t server_port(const struct server *s);
unsigned server_connections(struct server *s);
void server_stop(struct server *s); /* closes everything, joins all threads */
bool server_stopping(struct server *s);

bool send_all(int fd, const char *data, size_t len);
bool send_text(int fd, const char *text);
/* As HTTP has it: to HEAD, and with 204 and 304, the head alone. */
bool send_answer(const struct served *request, int status, const char *type, const char *body);
bool peer_is_gone(int fd); /* looks without waiting */

#endif
