/* Visibility and compiler hints shared by every public header. */
#ifndef VASTWORKER_EXPORT_H
#define VASTWORKER_EXPORT_H

#if defined(__GNUC__)
#define VW_API __attribute__((visibility("default")))
#define VW_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define VW_MUST_USE __attribute__((warn_unused_result))
#else
#define VW_API
#define VW_PRINTF(fmt, args)
#define VW_MUST_USE
#endif

#endif
