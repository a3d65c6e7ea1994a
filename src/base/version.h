/* The library's version: what commy_ffi_version() says and what a region names as its maker. */
#ifndef CMY_BASE_VERSION_H
#define CMY_BASE_VERSION_H

#define CMY_VERSION "1.0.0"

#endif /* CMY_BASE_VERSION_H */
