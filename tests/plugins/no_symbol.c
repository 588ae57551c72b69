/* A shared object that is no plugin. */
#include <vastworker/export.h>

VW_API int answer(void);

int answer(void) { return 42; }
