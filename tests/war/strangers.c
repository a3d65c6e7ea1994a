/*
 * Fighters that are not this program: `commy run` (environment COMMY_TOOL) around a program that only sleeps, and
 * client.py, which knows the language ABI (COMMY_LIBRARY, WAR_CLIENT).
 */
#include "war.h"

#include <fcntl.h>
#include <stddef.h>

bool war_has_tool(void)
{
    return getenv("COMMY_TOOL") != NULL;
}

bool war_has_script(void)
{
    return getenv("COMMY_LIBRARY") != NULL && getenv("WAR_CLIENT") != NULL;
}

/* The commander writes the log for a wrapper: in doubt from here on, acknowledged when it sees the service. */
void war_run_wrapper(uint32_t number)
{
    char port[8], *tool = getenv("COMMY_TOOL");
    war_service_t service;
    uint32_t e = number * ENTRIES;
    war_entry_t *entry = war_entry(e);
    war_describe(e, war_registration(atomic_load(&entry->word)), WAR_PLAIN, &service);
    snprintf(port, sizeof port, "%u", service.port);
    char *const command[] = {tool,
                             (char *)"run",
                             (char *)"--dir",
                             war->dir,
                             (char *)"--mesh",
                             (char *)"m",
                             (char *)"--name",
                             (char *)(uintptr_t)war_name(service.name),
                             (char *)"--id",
                             service.id,
                             (char *)"--port",
                             port,
                             (char *)"--",
                             (char *)"sleep",
                             (char *)"60",
                             NULL};
    if (!war->roomy) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC); /* it will complain that the region is full */
        dup2(nowhere, 2);
    }
    execv(tool, command);
    _exit(127);
}

void war_see_wrapper(const commy_mesh_t *mesh, uint32_t number)
{
    char id[128];
    commy_target_t target;
    uint32_t e = number * ENTRIES;
    war_entry_t *entry = war_entry(e);
    uint64_t word = atomic_load(&entry->word);
    if (war_state(word) != WAR_ENTERING)
        return;
    war_id(e, id);
    if (commy_service_find(mesh, id, &target) != COMMY_STATUS_SUCCESS)
        return;
    atomic_store(&war->place[number].joined, 1);
    atomic_store(&entry->word, war_next(word, WAR_HELD));
    war_hold(WAR_WRAPPED, true, " ");
}

void war_run_script(uint32_t number, uint64_t random)
{
    char words[9][24];
    const uint64_t numbers[9] = {(uint64_t)war->memory,
                                 offsetof(war_log_t, truce),
                                 offsetof(war_log_t, place) + number * sizeof(war_place_t),
                                 offsetof(war_place_t, cell),
                                 offsetof(war_place_t, entry),
                                 number,
                                 random & 0xffffffff,
                                 atomic_load(&war->place[number].doom) / 2,
                                 war->names};
    char *command[3 + 9 + 1] = {(char *)"python3", getenv("WAR_CLIENT"), war->dir};
    for (int i = 0; i < 9; i++) {
        snprintf(words[i], sizeof words[i], "%" PRIu64, numbers[i]);
        command[3 + i] = words[i];
    }
    execvp(command[0], command);
    _exit(127);
}
