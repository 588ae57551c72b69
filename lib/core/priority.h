/* Which waiting request goes first: what a point of priority is worth, and how many there may be. */
#ifndef VWI_CORE_PRIORITY_H
#define VWI_CORE_PRIORITY_H

#define VWI_PRIORITY_POINT_MS 1000 /* a request of priority 1 is as good as one that came a second earlier */
#define VWI_PRIORITY_MAX 1000      /* in either direction */

#endif
