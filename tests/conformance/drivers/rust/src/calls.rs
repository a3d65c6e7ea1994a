//! What each call of the suite is in the crate.

use std::collections::HashMap;

use commy::{
    Admin, Checked, Error, Found, Health, HealthConfig, LoadBalancer, Mesh, OpenOptions, Policy, Reference,
    Registration, Service, Target, Token, Watch,
};

use crate::arguments::{unwritable, Arguments, Failure};
use crate::json::{number, object, string, Value};
use crate::watching;

/// What callers have given names.
#[derive(Default)]
pub struct Driver {
    meshes: HashMap<String, Mesh>,
    tokens: HashMap<String, Token>,
    watches: HashMap<String, Watch>,
}

type Answer = Result<Value, Failure>;
type Call = fn(&mut Driver, &Arguments<'_>) -> Answer;

pub const CALLS: &[(&str, Call)] = &[
    ("ffi_init", |_, _| done(commy::init())),
    ("ffi_cleanup", |_, _| done(commy::cleanup())),
    ("ffi_version", |_, _| Ok(string(commy::version()))),
    ("status_string", |_, a| Ok(string(commy::status_string(a.number("status")?)))),
    ("create_mesh", |d, a| d.opened(a, Mesh::create(a.text("node_id"), a.number("listen_port")?))),
    ("open_mesh", |d, a| d.opened(a, open_options(a)?.open())),
    ("start_mesh", |d, a| done(d.mesh(a)?.start())),
    ("stop_mesh", |d, a| done(d.mesh(a)?.stop())),
    ("destroy_mesh", |d, a| done(d.mesh(a)?.close())),
    ("is_mesh_running", |d, a| Ok(Value::Bool(d.mesh(a)?.is_running()?))),
    ("get_node_id", |d, a| Ok(string(d.mesh(a)?.node_id()?))),
    ("get_mesh_stats", |d, a| statistics(d.mesh(a)?)),
    ("register_service_simple", |d, a| {
        let port = a.number("port")?;
        done(d.mesh(a)?.register_service(a.text("name"), a.text("id"), a.text("endpoint"), port))
    }),
    ("register_service", |d, a| done(d.mesh(a)?.register(&registration(a)?))),
    ("unregister_service", |d, a| done(d.mesh(a)?.unregister_service(a.text("id")))),
    ("heartbeat", |d, a| done(d.mesh(a)?.heartbeat(a.text("id")))),
    ("discover_services_count", |d, a| Ok(number(d.mesh(a)?.count_services(a.text("name"))?))),
    ("discover_services", |d, a| Ok(services(d.mesh(a)?.discover_services(a.text("name"))?))),
    ("get_active_service_count", |d, a| Ok(number(d.mesh(a)?.count_all_services()?))),
    ("get_all_services", |d, a| Ok(services(d.mesh(a)?.all_services()?))),
    ("get_service", |d, a| Ok(service(&d.mesh(a)?.get_service(a.text("id"))?))),
    ("find", |d, a| Ok(target(&d.mesh(a)?.find(a.text("id"))?))),
    ("find_many", |d, a| Ok(found(&d.mesh(a)?.find_many(&a.texts("ids"))?))),
    ("get_service_metadata", |d, a| Ok(string(d.mesh(a)?.metadata(a.text("id"))?))),
    ("update_service_metadata", |d, a| done(d.mesh(a)?.set_metadata(a.text("id"), a.text("metadata")))),
    ("set_service_weight", |d, a| done(d.mesh(a)?.set_weight(a.text("id"), a.number("weight")?))),
    ("report_service_performance", |d, a| {
        done(d.mesh(a)?.report_service(a.text("id"), a.millis("response_time_ms")?, a.flag("success")))
    }),
    ("report", |d, a| done(d.mesh(a)?.report(reference(a)?, a.nanos("latency_ns")?, a.flag("success")))),
    ("begin_request", |d, a| {
        let token = d.mesh(a)?.begin_request(reference(a)?)?;
        d.tokens.insert(a.text("token").to_owned(), token);
        Ok(Value::Null)
    }),
    ("end_request", |d, a| done(d.mesh(a)?.end_request(d.token(a)?, a.nanos("latency_ns")?, a.flag("success")))),
    ("get_latency", |d, a| Ok(string(d.mesh(a)?.latency(a.option("id"), a.double("quantile")?)?.as_nanos()))),
    ("configure_load_balancer", |d, a| done(d.mesh(a)?.configure_load_balancer(load_balancer(a)?))),
    ("select_service", |d, a| {
        let mesh = d.mesh(a)?;
        Ok(target(&match a.option("client_id") {
            Some(client) => mesh.select_for(a.text("name"), client)?,
            None => mesh.select(a.text("name"))?,
        }))
    }),
    ("wait", |d, a| Ok(string(d.mesh(a)?.wait(a.option("name"), a.number("version")?, a.timeout("timeout_ms")?)?))),
    ("configure_mesh", |d, a| {
        let (health, balancer) = (a.object("health"), a.object("load_balancer"));
        let health = health.as_ref().map(health_config).transpose()?;
        let balancer = balancer.as_ref().map(load_balancer).transpose()?;
        done(d.mesh(a)?.configure(health, balancer))
    }),
    ("start_health_monitoring", |d, a| {
        let config = if a.has("check_interval_ms") { Some(health_config(a)?) } else { None };
        done(d.mesh(a)?.start_health_monitoring(a.text("id"), config))
    }),
    ("stop_health_monitoring", |d, a| done(d.mesh(a)?.stop_health_monitoring(a.text("id")))),
    ("get_service_health", |d, a| Ok(checked(d.mesh(a)?.service_health(a.text("id"))?))),
    ("manual_health_check", |d, a| Ok(checked(d.mesh(a)?.check_health(a.text("id"))?))),
    ("set_health", |d, a| {
        const STATUSES: [Health; 4] = [Health::Unknown, Health::Healthy, Health::Unhealthy, Health::Degraded];
        let health = one_of(&STATUSES, Health::code, "status", a)?;
        done(d.mesh(a)?.set_health(a.text("id"), health))
    }),
    ("set_admin", |d, a| {
        let admin = one_of(&[Admin::Enabled, Admin::Draining, Admin::Maintenance], Admin::code, "admin", a)?;
        done(d.mesh(a)?.set_admin(a.text("id"), admin))
    }),
    ("get_load_balancer_stats", |d, a| {
        let requests = d.mesh(a)?.load_balancer_statistics(a.text("name"))?;
        Ok(object([
            ("total", string(requests.total)),
            ("successful", string(requests.successful)),
            ("failed", string(requests.failed)),
            ("average_ms", number(requests.average_response_time_ms)),
        ]))
    }),
    ("get_circuit_breaker_status", |d, a| {
        let breaker = d.mesh(a)?.circuit_breaker(a.text("id"))?;
        Ok(object([("state", number(breaker.state.code())), ("failures", number(breaker.failures))]))
    }),
    ("reset_circuit_breaker", |d, a| done(d.mesh(a)?.reset_circuit_breaker(a.text("id")))),
    ("watch_open", |d, a| {
        let watch = d.mesh(a)?.watch(a.option("name"))?;
        d.watches.insert(a.text("watch").to_owned(), watch);
        Ok(Value::Null)
    }),
    ("watch_fd", |d, a| Ok(Value::Bool(watching::readable(d.watch(a)?)?))),
    ("watch_wait", |d, a| Ok(string(d.watch(a)?.wait(a.timeout("timeout_ms")?)?))),
    ("watch_wake", |d, a| done(d.watch(a)?.wake())),
    ("watch_close", |d, a| done(d.watch(a)?.close())),
    ("watch_changes", |d, a| {
        let watch = d.mesh(a)?.watch(a.option("name"))?;
        let changes = watching::changes(&watch, a.number("count")?, a.timeout("timeout_ms")?)?;
        Ok(Value::List(changes.into_iter().map(string).collect()))
    }),
];

impl Driver {
    fn mesh(&self, a: &Arguments<'_>) -> Result<&Mesh, Failure> {
        let name = a.text("mesh");
        self.meshes.get(name).ok_or_else(|| Failure::NoMesh(format!("no mesh was opened as {name:?}")))
    }

    /// A token that nobody was given is one that no request has.
    fn token(&self, a: &Arguments<'_>) -> Result<Token, Failure> {
        Ok(self.tokens.get(a.text("token")).copied().unwrap_or_else(|| Token::from_raw(0)))
    }

    fn watch(&self, a: &Arguments<'_>) -> Result<&Watch, Failure> {
        let name = a.text("watch");
        self.watches.get(name).ok_or_else(|| Failure::NoMesh(format!("no watch was opened as {name:?}")))
    }

    fn opened(&mut self, a: &Arguments<'_>, mesh: Result<Mesh, Error>) -> Answer {
        self.meshes.insert(a.text("mesh").to_owned(), mesh?);
        Ok(Value::Null)
    }
}

fn done(result: Result<(), Error>) -> Answer {
    Ok(result.map(|()| Value::Null)?)
}

// ----------------------------------------------------------------- arguments

fn open_options<'a>(a: &Arguments<'a>) -> Result<OpenOptions<'a>, Failure> {
    let mut options =
        Mesh::options().capacity(a.number("capacity")?).mode(a.number("mode")?).listen_port(a.number("listen_port")?);
    if let Some(name) = a.option("name") {
        options = options.mesh(name);
    }
    if let Some(dir) = a.option("dir") {
        options = options.dir(dir);
    }
    if let Some(node_id) = a.option("node_id") {
        options = options.node_id(node_id);
    }
    if let Some(group) = a.option("group") {
        options = options.group(group);
    }
    let flags: u32 = a.number("flags")?;
    if flags & 1 != 0 {
        options = options.read_only();
    }
    if flags & 2 != 0 {
        options = options.must_exist();
    }
    if flags & 4 != 0 {
        options = options.must_not_exist();
    }
    if flags > 7 {
        return Err(unwritable("flags", flags));
    }
    Ok(options)
}

fn registration<'a>(a: &Arguments<'a>) -> Result<Registration<'a>, Failure> {
    let mut service =
        Registration::new(a.text("service_name"), a.text("service_id"), a.text("endpoint"), a.number("port")?)
            .tags(a.texts("tags"))
            .weight(a.number("weight")?)
            .ttl(a.millis("ttl_ms")?);
    if let Some(metadata) = a.option("metadata") {
        service = service.metadata(metadata);
    }
    if let Some(version) = a.option("version") {
        service = service.version(version);
    }
    if let Some(zone) = a.option("zone") {
        service = service.zone(zone);
    }
    match a.number("flags")? {
        0u32 => Ok(service),
        1 => Ok(service.detached()),
        flags => Err(unwritable("flags", flags)),
    }
}

fn load_balancer(a: &Arguments<'_>) -> Result<LoadBalancer, Failure> {
    let balancer = LoadBalancer::new(Policy::from_code(a.number("algorithm")?));
    let (threshold, timeout) = (a.number("circuit_breaker_threshold")?, a.millis("circuit_breaker_timeout_ms")?);
    Ok(if a.flag("enable_circuit_breaker") { balancer.circuit_breaker(threshold, timeout) } else { balancer })
}

fn health_config(a: &Arguments<'_>) -> Result<HealthConfig, Failure> {
    Ok(HealthConfig {
        check_interval: a.millis("check_interval_ms")?,
        timeout: a.millis("timeout_ms")?,
        max_failures: a.number("max_failures")?,
        recovery_checks: a.number("recovery_checks")?,
    })
}

/// The value that has the number of an argument.
fn one_of<T: Copy>(all: &[T], code: fn(T) -> i32, name: &str, a: &Arguments<'_>) -> Result<T, Failure> {
    let number = a.number(name)?;
    all.iter().copied().find(|&value| code(value) == number).ok_or_else(|| unwritable(name, number))
}

fn reference(a: &Arguments<'_>) -> Result<Reference, Failure> {
    Ok(Reference::from_raw(a.number("reference")?))
}

// -------------------------------------------------------------------- values

fn statistics(mesh: &Mesh) -> Answer {
    let stats = mesh.statistics()?;
    Ok(object([
        ("total_services", number(stats.total_services)),
        ("healthy_services", number(stats.healthy_services)),
        ("unhealthy_services", number(stats.unhealthy_services)),
        ("registered_services", number(stats.registered_services)),
        ("total_requests", string(stats.total_requests)),
        ("successful_requests", string(stats.successful_requests)),
        ("failed_requests", string(stats.failed_requests)),
        ("average_response_time_ms", number(stats.average_response_time_ms)),
    ]))
}

fn service(service: &Service) -> Value {
    object([
        ("name", string(service.name())),
        ("id", string(service.id())),
        ("endpoint", string(service.endpoint())),
        ("version", string(service.version())),
        ("zone", string(service.zone())),
        ("node_id", string(service.node_id())),
        ("tags", Value::List(service.tags().map(string).collect())),
        ("weight", number(service.weight())),
        ("owner_pid", number(service.owner_pid().unwrap_or(0))),
        ("status", number(service.health().code())),
        ("admin", number(service.admin().code())),
        ("port", number(service.port())),
        ("registered_at_ns", string(service.registered_at_ns())),
        ("metadata_bytes", string(service.metadata_bytes())),
        ("response_time_ms", number(service.response_time_ms())),
    ])
}

fn services(found: commy::Services) -> Value {
    Value::List(found.map(|found| service(&found)).collect())
}

fn target(target: &Target) -> Value {
    object([
        ("reference", string(target.reference().as_raw())),
        ("weight", number(target.weight())),
        ("status", number(target.health().code())),
        ("port", number(target.port())),
        ("endpoint", string(target.endpoint())),
    ])
}

fn checked(checked: Checked) -> Value {
    object([("status", number(checked.health.code())), ("response_time_ms", number(checked.response_time_ms))])
}

fn found(found: &Found) -> Value {
    let one = |result: Result<&Target, Error>| match result {
        Ok(found) => object([("code", number(0)), ("target", target(found))]),
        Err(error) => object([("code", number(error.code()))]),
    };
    Value::List(found.iter().map(one).collect())
}
