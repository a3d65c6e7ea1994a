/* The second certain sign of a death, for what the kernel could not mark. Internal to the room. */
#ifndef CMY_LIFE_SIGN_H
#define CMY_LIFE_SIGN_H

#include <stdbool.h>
#include <stdint.h>

/* Threads of the library's, by name: the keeper, who feeds descriptors and callbacks (mesh/lookout.c), and
 * who checks services (mesh/monitor.c). */
#define CMY_KEEPER_NAME "commy-keeper"
#define CMY_LOOKOUT_NAME "commy-lookout"
#define CMY_MONITOR_NAME "commy-monitor"

typedef enum cmy_life_sign {
    CMY_SIGN_NONE,    /* alive, or not certain */
    CMY_SIGN_GONE,    /* no such thread: the kernel is done with it, and with every word it held */
    CMY_SIGN_DUMPING, /* its process is dumping core: it will run no more, but a mark may still come */
} cmy_life_sign_t;

/* Inode of this process's own PID namespace, read once a process; 0 where /proc does not say. */
uint64_t cmy_life_namespace(void);

/* Looks for a thread of this PID namespace. pid: its process, or 0 where only the thread is known. */
cmy_life_sign_t cmy_life_sign(uint32_t pid, uint32_t tid);

/* Whether nothing but these is left of this process: its first thread has ended, and so has every other of the program's.
 * Not certain: false. */
bool cmy_life_only_keepers(void);

/* From now on the calling thread opens no file in cmy_life_sign(), and so sees no core dump. */
void cmy_life_sign_without_files(void);

#endif /* CMY_LIFE_SIGN_H */
