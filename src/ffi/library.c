/* The language ABI: the library as a whole. */
#include <commy/ffi.h>

#include "base/version.h"
#include "ffi/handle.h"
#include "ffi/watch.h"

int32_t commy_ffi_init(void)
{
    return cmy_handle_ready();
}

int32_t commy_ffi_cleanup(void)
{
    cmy_watches_close_all();
    cmy_handle_destroy_all();
    return COMMY_STATUS_SUCCESS;
}

const char *commy_ffi_version(void)
{
    return CMY_VERSION;
}
