/*
 * commands.h - the subcommands, each in a file of its own; see common.h for what they share.
 */
#ifndef COMMY_TOOL_COMMANDS_H
#define COMMY_TOOL_COMMANDS_H

int cmd_bench(int argc, char **argv);
int cmd_breaker(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_check_health(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_drain(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_get(int argc, char **argv);
int cmd_heartbeat(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_meshes(int argc, char **argv);
int cmd_monitor(int argc, char **argv);
int cmd_nodes(int argc, char **argv);
int cmd_reap(int argc, char **argv);
int cmd_register(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_select(int argc, char **argv);
int cmd_set(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_timeline(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_unregister(int argc, char **argv);
int cmd_wait(int argc, char **argv);
int cmd_watch(int argc, char **argv);

#endif /* COMMY_TOOL_COMMANDS_H */
