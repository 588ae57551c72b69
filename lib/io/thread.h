/* A thread of ours in the host program's process. */
#ifndef VWI_IO_THREAD_H
#define VWI_IO_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* To be joined or detached. It takes no signals: they are the host program's. False: there is no thread to be had. */
bool vwi_thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg);

#endif
