//! The language ABI of `libcommy.so.1`, as `commy/ffi.h` and `commy/types.h` declare it. What each function does, and
//! what it returns, is said there; the crate `commy` is the safe API over this one.
//!
//! Every function is safe to call with a null pointer, with a stale, foreign or zero handle, from any thread, and in a
//! forked child. They are `unsafe` here because the compiler cannot see that the pointers they are given are good.
//!
//! `tests/layout.rs` holds these declarations against the header, by the C compiler.

#![allow(non_camel_case_types)]

use std::os::raw::{c_char, c_void};

mod constants;
pub use constants::*;

/// One attachment. 0 is none; a number is never used again within a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct commy_handle_t {
    pub instance_id: u64,
}

/// Which region, and how to open it. `size` is the size of this structure; null and zero mean the default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct commy_open_options_t {
    pub size: u32,
    pub flags: u32,
    pub mesh: *const c_char,
    pub dir: *const c_char,
    pub node_id: *const c_char,
    pub group: *const c_char,
    pub capacity: u32,
    pub mode: u32,
    pub listen_port: u16,
}

/// What a service is registered with. `size` is the size of this structure; null and zero mean none, or the default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct commy_service_config_t {
    pub size: u32,
    pub flags: u32,
    pub service_name: *const c_char,
    pub service_id: *const c_char,
    pub endpoint: *const c_char,
    pub metadata: *const c_char,
    pub version: *const c_char,
    pub zone: *const c_char,
    pub tags: *const *const c_char,
    pub tag_count: u32,
    pub weight: u32,
    pub ttl_ms: u64,
    pub port: u16,
}

/// What a client needs to connect to a service and to report on it. The library writes the endpoint's own length of
/// `endpoint` and its NUL, and nothing behind it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct commy_target_t {
    pub reference: u64,
    pub weight: u32,
    pub status: i32,
    pub port: u16,
    pub endpoint: [c_char; 256],
}

/// Everything known about a service, but for its metadata's text.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct commy_service_info_t {
    pub name: [c_char; 64],
    pub id: [c_char; 128],
    pub endpoint: [c_char; 256],
    pub version: [c_char; 32],
    pub zone: [c_char; 32],
    pub node_id: [c_char; 64],
    pub tags: [[c_char; 32]; 16],
    pub tag_count: u32,
    pub weight: u32,
    pub owner_pid: u32,
    pub status: i32,
    pub admin: i32,
    pub port: u16,
    pub registered_at_ns: u64,
    pub metadata_bytes: u64,
    pub response_time_ms: f64,
    pub reserved: [u8; 64],
}

/// The mesh in numbers. `registered_services` are those that the calling handle owns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct commy_mesh_stats_t {
    pub total_services: u32,
    pub healthy_services: u32,
    pub unhealthy_services: u32,
    pub registered_services: u32,
    pub total_requests: u64,
    pub successful_requests: u64,
    pub failed_requests: u64,
    pub average_response_time_ms: f64,
}

/// How a handle selects. `algorithm` is one of `COMMY_POLICY_*`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct commy_load_balancer_config_t {
    pub algorithm: i32,
    pub enable_circuit_breaker: u32,
    pub circuit_breaker_threshold: u32,
    pub circuit_breaker_timeout_ms: u64,
}

/// How a service's health is checked. All four above 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct commy_health_config_t {
    pub check_interval_ms: u64,
    pub timeout_ms: u64,
    pub max_failures: u32,
    pub recovery_checks: u32,
}

// Run in commy_dispatch(), on the thread that calls it; the texts are good until they return.
pub type commy_service_callback_t =
    Option<unsafe extern "C" fn(user: *mut c_void, event: i32, service_name: *const c_char, service_id: *const c_char)>;
pub type commy_health_callback_t = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        service_name: *const c_char,
        service_id: *const c_char,
        old_status: i32,
        new_status: i32,
    ),
>;
pub type commy_log_callback_t = Option<unsafe extern "C" fn(user: *mut c_void, level: i32, text: *const c_char)>;

extern "C" {
    // library
    pub fn commy_ffi_init() -> i32;
    pub fn commy_ffi_cleanup() -> i32;
    pub fn commy_ffi_version() -> *const c_char;
    pub fn commy_last_error() -> i32;
    pub fn commy_last_error_message() -> *const c_char;
    pub fn commy_status_string(status: i32) -> *const c_char;

    // mesh
    pub fn commy_create_mesh(node_id: *const c_char, listen_port: u16) -> commy_handle_t;
    pub fn commy_open_mesh(options: *const commy_open_options_t) -> commy_handle_t;
    pub fn commy_start_mesh(h: commy_handle_t) -> i32;
    pub fn commy_stop_mesh(h: commy_handle_t) -> i32;
    pub fn commy_is_mesh_running(h: commy_handle_t) -> i32;
    pub fn commy_destroy_mesh(h: commy_handle_t) -> i32;
    pub fn commy_get_node_id(h: commy_handle_t) -> *mut c_char;
    pub fn commy_free_string(string: *mut c_char);
    pub fn commy_get_mesh_stats(h: commy_handle_t, stats: *mut commy_mesh_stats_t) -> i32;

    // services
    pub fn commy_register_service_simple(
        h: commy_handle_t,
        name: *const c_char,
        id: *const c_char,
        endpoint: *const c_char,
        port: u16,
    ) -> i32;
    pub fn commy_register_service(h: commy_handle_t, config: *const commy_service_config_t) -> i32;
    pub fn commy_unregister_service(h: commy_handle_t, id: *const c_char) -> i32;
    pub fn commy_discover_services_count(h: commy_handle_t, name: *const c_char) -> i32;
    pub fn commy_get_active_service_count(h: commy_handle_t) -> i32;
    pub fn commy_discover_services(
        h: commy_handle_t,
        name: *const c_char,
        out: *mut commy_service_info_t,
        capacity: usize,
        count: *mut usize,
    ) -> i32;
    pub fn commy_get_all_services(
        h: commy_handle_t,
        out: *mut commy_service_info_t,
        capacity: usize,
        count: *mut usize,
    ) -> i32;
    pub fn commy_get_service(h: commy_handle_t, id: *const c_char, info: *mut commy_service_info_t) -> i32;
    pub fn commy_find(h: commy_handle_t, id: *const c_char, target: *mut commy_target_t) -> i32;
    pub fn commy_find_many(
        h: commy_handle_t,
        ids: *const *const c_char,
        n: usize,
        out: *mut commy_target_t,
        codes: *mut i32,
    ) -> i32;
    pub fn commy_get_service_metadata(
        h: commy_handle_t,
        id: *const c_char,
        out: *mut c_char,
        capacity: usize,
        length: *mut usize,
    ) -> i32;
    pub fn commy_update_service_metadata(h: commy_handle_t, id: *const c_char, metadata: *const c_char) -> i32;
    pub fn commy_set_service_weight(h: commy_handle_t, id: *const c_char, weight: u32) -> i32;
    pub fn commy_heartbeat(h: commy_handle_t, id: *const c_char) -> i32;

    // requests
    pub fn commy_report_service_performance(
        h: commy_handle_t,
        id: *const c_char,
        response_time_ms: u64,
        success: i32,
    ) -> i32;
    pub fn commy_report(h: commy_handle_t, reference: u64, latency_ns: u64, success: i32) -> i32;
    pub fn commy_begin_request(h: commy_handle_t, reference: u64, token: *mut u64) -> i32;
    pub fn commy_end_request(h: commy_handle_t, token: u64, latency_ns: u64, success: i32) -> i32;
    pub fn commy_get_latency(h: commy_handle_t, id_or_name: *const c_char, quantile: f64, ns: *mut u64) -> i32;

    pub fn commy_get_load_balancer_stats(
        h: commy_handle_t,
        name: *const c_char,
        total: *mut u64,
        successful: *mut u64,
        failed: *mut u64,
        average_ms: *mut f64,
    ) -> i32;

    // health
    pub fn commy_configure_mesh(
        h: commy_handle_t,
        health: *const commy_health_config_t,
        balancer: *const commy_load_balancer_config_t,
    ) -> i32;
    pub fn commy_start_health_monitoring(
        h: commy_handle_t,
        id: *const c_char,
        config: *const commy_health_config_t,
    ) -> i32;
    pub fn commy_stop_health_monitoring(h: commy_handle_t, id: *const c_char) -> i32;
    pub fn commy_get_service_health(
        h: commy_handle_t,
        id: *const c_char,
        status: *mut i32,
        response_time_ms: *mut f64,
    ) -> i32;
    pub fn commy_manual_health_check(
        h: commy_handle_t,
        id: *const c_char,
        status: *mut i32,
        response_time_ms: *mut f64,
    ) -> i32;
    pub fn commy_set_health(h: commy_handle_t, id: *const c_char, status: i32) -> i32;
    pub fn commy_set_admin(h: commy_handle_t, id: *const c_char, admin: i32) -> i32;

    // circuit breakers
    pub fn commy_get_circuit_breaker_status(
        h: commy_handle_t,
        id: *const c_char,
        state: *mut i32,
        failures: *mut u32,
    ) -> i32;
    pub fn commy_reset_circuit_breaker(h: commy_handle_t, id: *const c_char) -> i32;

    // selecting
    pub fn commy_configure_load_balancer(h: commy_handle_t, config: *const commy_load_balancer_config_t) -> i32;
    pub fn commy_select_service(
        h: commy_handle_t,
        name: *const c_char,
        client_id: *const c_char,
        target: *mut commy_target_t,
    ) -> i32;

    // waiting
    pub fn commy_wait(
        h: commy_handle_t,
        name: *const c_char,
        version: u64,
        timeout_ms: i32,
        new_version: *mut u64,
    ) -> i32;
    pub fn commy_watch_open(h: commy_handle_t, name: *const c_char, watch: *mut u64) -> i32;
    pub fn commy_watch_fd(watch: u64) -> i32;
    pub fn commy_watch_wait(watch: u64, timeout_ms: i32, version: *mut u64) -> i32;
    pub fn commy_watch_wake(watch: u64) -> i32;
    pub fn commy_watch_close(watch: u64) -> i32;

    // callbacks
    pub fn commy_set_service_callback(h: commy_handle_t, fn_: commy_service_callback_t, user: *mut c_void) -> i32;
    pub fn commy_set_health_callback(h: commy_handle_t, fn_: commy_health_callback_t, user: *mut c_void) -> i32;
    pub fn commy_set_log_callback(fn_: commy_log_callback_t, user: *mut c_void) -> i32;
    pub fn commy_dispatch(h: commy_handle_t, timeout_ms: i32) -> i32;
}
