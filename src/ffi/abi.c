/*
 * The language ABI's layouts, as every binding writes them down for itself. A line that fails here is a break of the
 * contract, not a line to be corrected.
 */
#include <commy/ffi.h>

#if defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has its size")
#define AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field " is in its place")

SIZE(commy_handle_t, 8);
AT(commy_handle_t, instance_id, 0);

SIZE(commy_open_options_t, 56);
AT(commy_open_options_t, size, 0);
AT(commy_open_options_t, flags, 4);
AT(commy_open_options_t, mesh, 8);
AT(commy_open_options_t, dir, 16);
AT(commy_open_options_t, node_id, 24);
AT(commy_open_options_t, group, 32);
AT(commy_open_options_t, capacity, 40);
AT(commy_open_options_t, mode, 44);
AT(commy_open_options_t, listen_port, 48);

SIZE(commy_mesh_stats_t, 48);
AT(commy_mesh_stats_t, total_services, 0);
AT(commy_mesh_stats_t, healthy_services, 4);
AT(commy_mesh_stats_t, unhealthy_services, 8);
AT(commy_mesh_stats_t, registered_services, 12);
AT(commy_mesh_stats_t, total_requests, 16);
AT(commy_mesh_stats_t, successful_requests, 24);
AT(commy_mesh_stats_t, failed_requests, 32);
AT(commy_mesh_stats_t, average_response_time_ms, 40);

SIZE(commy_service_config_t, 88);
AT(commy_service_config_t, size, 0);
AT(commy_service_config_t, flags, 4);
AT(commy_service_config_t, service_name, 8);
AT(commy_service_config_t, service_id, 16);
AT(commy_service_config_t, endpoint, 24);
AT(commy_service_config_t, metadata, 32);
AT(commy_service_config_t, version, 40);
AT(commy_service_config_t, zone, 48);
AT(commy_service_config_t, tags, 56);
AT(commy_service_config_t, tag_count, 64);
AT(commy_service_config_t, weight, 68);
AT(commy_service_config_t, ttl_ms, 72);
AT(commy_service_config_t, port, 80);

SIZE(commy_service_info_t, 1200);
AT(commy_service_info_t, name, 0);
AT(commy_service_info_t, id, 64);
AT(commy_service_info_t, endpoint, 192);
AT(commy_service_info_t, version, 448);
AT(commy_service_info_t, zone, 480);
AT(commy_service_info_t, node_id, 512);
AT(commy_service_info_t, tags, 576);
AT(commy_service_info_t, tag_count, 1088);
AT(commy_service_info_t, weight, 1092);
AT(commy_service_info_t, owner_pid, 1096);
AT(commy_service_info_t, status, 1100);
AT(commy_service_info_t, admin, 1104);
AT(commy_service_info_t, port, 1108);
AT(commy_service_info_t, registered_at_ns, 1112);
AT(commy_service_info_t, metadata_bytes, 1120);
AT(commy_service_info_t, response_time_ms, 1128);
AT(commy_service_info_t, reserved, 1136);

SIZE(commy_health_config_t, 24);
AT(commy_health_config_t, check_interval_ms, 0);
AT(commy_health_config_t, timeout_ms, 8);
AT(commy_health_config_t, max_failures, 16);
AT(commy_health_config_t, recovery_checks, 20);

SIZE(commy_load_balancer_config_t, 24);
AT(commy_load_balancer_config_t, algorithm, 0);
AT(commy_load_balancer_config_t, enable_circuit_breaker, 4);
AT(commy_load_balancer_config_t, circuit_breaker_threshold, 8);
AT(commy_load_balancer_config_t, circuit_breaker_timeout_ms, 16);

SIZE(commy_target_t, 280);
AT(commy_target_t, reference, 0);
AT(commy_target_t, weight, 8);
AT(commy_target_t, status, 12);
AT(commy_target_t, port, 16);
AT(commy_target_t, endpoint, 18);

#endif

/* Sizes that the limits promise, on every machine. */
_Static_assert(sizeof(((commy_service_info_t *)0)->name) == COMMY_LIMIT_NAME_BYTES + 1, "a name and its NUL");
_Static_assert(sizeof(((commy_service_info_t *)0)->id) == COMMY_LIMIT_ID_BYTES + 1, "an id and its NUL");
_Static_assert(sizeof(((commy_service_info_t *)0)->endpoint) == COMMY_LIMIT_ENDPOINT_BYTES + 1,
               "an endpoint and its NUL");
_Static_assert(sizeof(((commy_service_info_t *)0)->version) == COMMY_LIMIT_VERSION_BYTES + 1, "a version and its NUL");
_Static_assert(sizeof(((commy_service_info_t *)0)->zone) == COMMY_LIMIT_ZONE_BYTES + 1, "a zone and its NUL");
_Static_assert(sizeof(((commy_service_info_t *)0)->node_id) == COMMY_LIMIT_MESH_BYTES + 1, "a node name and its NUL");
_Static_assert(sizeof(((commy_service_info_t *)0)->tags) == COMMY_LIMIT_TAGS * (COMMY_LIMIT_TAG_BYTES + 1),
               "the tags and their NULs");
_Static_assert(sizeof(((commy_target_t *)0)->endpoint) == COMMY_LIMIT_ENDPOINT_BYTES + 1, "an endpoint and its NUL");
