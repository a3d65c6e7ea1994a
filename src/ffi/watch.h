/* Watches of the language ABI, for the room itself. */
#ifndef CMY_FFI_WATCH_H
#define CMY_FFI_WATCH_H

/* Closes every watch of this process, inherited ones too. */
void cmy_watches_close_all(void);

#endif /* CMY_FFI_WATCH_H */
