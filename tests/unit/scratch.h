/* A directory of its own for a test that needs real files. */
#ifndef SCRATCH_H
#define SCRATCH_H

/* Fills the template "/tmp/name-XXXXXX" in place; fails the test when it cannot. */
void scratch_make(char *dir);
void scratch_remove(const char *dir); /* with everything in it */

#endif
