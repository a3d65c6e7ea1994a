/*
 * event.h - events of the flight recorder, as a line for people and as JSON; one table of words for both, the library's.
 */
#ifndef COMMY_TOOL_EVENT_H
#define COMMY_TOOL_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <commy/commy.h>

/* Whether it is about a participant, whose node id its name is; else about a service. */
bool event_is_of_participant(const commy_event_t *event);

/* Whether it is about the service of an id, as far as its text was kept. */
bool event_is_of_service(const commy_event_t *event, const char *id);

/* Whether a text of an event, which may have been cut, is the one that is asked for. */
bool event_text_is(const char *text, bool cut, const char *wanted);

/* A text of an event, with an ellipsis behind one that was cut. */
#define EVENT_TEXT_BYTES (COMMY_EVENT_TEXT_BYTES + 4)
const char *event_id(const commy_event_t *event, char buffer[EVENT_TEXT_BYTES]);
const char *event_name(const commy_event_t *event, char buffer[EVENT_TEXT_BYTES]);

/* "healthy -> unhealthy", "owner-left", or nothing. */
#define EVENT_DETAIL_BYTES 64
const char *event_detail(const commy_event_t *event, char buffer[EVENT_DETAIL_BYTES]);

/* The object that scripts rely on. */
json_t *event_json(const commy_event_t *event);

/* Prints it on a line, in colours where these are wanted. */
void event_print(const commy_event_t *event);

#endif /* COMMY_TOOL_EVENT_H */
