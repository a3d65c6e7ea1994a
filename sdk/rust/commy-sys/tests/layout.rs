//! The declarations here agree with the C header: sizes and offsets of every structure, the value of every constant, the
//! signature of every function, and nothing of the header is missing. The C compiler (`CC`, else `cc`) is the judge.

use commy_sys::*;
use std::fmt::Write;
use std::mem::{size_of, MaybeUninit};
use std::path::PathBuf;
use std::process::Command;
use std::ptr::addr_of;

/// A C line for the size of a structure, and one for the offset and the size of each field.
macro_rules! structure {
    ($c:expr, $type:ident { $($field:ident),* }) => {{
        let value = MaybeUninit::<$type>::uninit();
        let base = value.as_ptr();
        assert_line(&mut $c, &format!("sizeof({})", stringify!($type)), size_of::<$type>() as u64);
        let mut fields = 0;
        $(
            // SAFETY: a field's address is taken, nothing is read.
            let field = unsafe { addr_of!((*base).$field) };
            let (name, kind) = (stringify!($field), stringify!($type));
            assert_line(&mut $c, &format!("offsetof({kind}, {name})"), field as u64 - base as u64);
            assert_line(&mut $c, &format!("sizeof((({kind} *)0)->{name})"), size_of_pointee(field) as u64);
            fields += 1;
        )*
        (stringify!($type), fields)
    }};
}

fn size_of_pointee<T>(_: *const T) -> usize {
    size_of::<T>()
}

fn assert_line(c: &mut String, expression: &str, value: u64) {
    writeln!(c, "_Static_assert({expression} == {value}ull, \"{expression} is not {value}\");").unwrap();
}

fn include_directories() -> Vec<PathBuf> {
    std::env::split_paths(env!("COMMY_SYS_INCLUDE")).collect()
}

fn header(name: &str) -> String {
    let mut directories = include_directories();
    directories.push("/usr/include".into());
    for directory in &directories {
        if let Ok(text) = std::fs::read_to_string(directory.join("commy").join(name)) {
            return text;
        }
    }
    panic!("commy/{name} is in none of {directories:?}: set COMMY_INCLUDE_DIR");
}

/// Whether C code that includes the header compiles, and what the compiler has to say.
fn compile(name: &str, c: &str) -> Result<(), String> {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, format!("#include <commy/ffi.h>\n{c}")).unwrap();
    let mut command = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".into()));
    command.args(["-std=c11", "-Wall", "-Werror", "-fsyntax-only"]);
    for directory in include_directories() {
        command.arg("-I").arg(directory);
    }
    let output = command.arg(&file).output().expect("a C compiler is installed");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn structures_lie_as_the_header_says() {
    let mut c = String::new();
    let known = [
        structure!(c, commy_handle_t { instance_id }),
        structure!(c, commy_open_options_t { size, flags, mesh, dir, node_id, group, capacity, mode, listen_port }),
        structure!(
            c,
            commy_service_config_t {
                size,
                flags,
                service_name,
                service_id,
                endpoint,
                metadata,
                version,
                zone,
                tags,
                tag_count,
                weight,
                ttl_ms,
                port
            }
        ),
        structure!(c, commy_target_t { reference, weight, status, port, endpoint }),
        structure!(
            c,
            commy_service_info_t {
                name,
                id,
                endpoint,
                version,
                zone,
                node_id,
                tags,
                tag_count,
                weight,
                owner_pid,
                status,
                admin,
                port,
                registered_at_ns,
                metadata_bytes,
                response_time_ms,
                reserved
            }
        ),
        structure!(
            c,
            commy_mesh_stats_t {
                total_services,
                healthy_services,
                unhealthy_services,
                registered_services,
                total_requests,
                successful_requests,
                failed_requests,
                average_response_time_ms
            }
        ),
        structure!(
            c,
            commy_load_balancer_config_t {
                algorithm,
                enable_circuit_breaker,
                circuit_breaker_threshold,
                circuit_breaker_timeout_ms
            }
        ),
        structure!(c, commy_health_config_t { check_interval_ms, timeout_ms, max_failures, recovery_checks }),
    ];
    compile("structures.c", &c).unwrap();

    let text = code_of(&(header("types.h") + &header("ffi.h")));
    for (name, body) in structures_of(&text) {
        let fields = body.split(';').flat_map(|line| line.split(',')).filter(|field| !field.trim().is_empty()).count();
        assert!(known.contains(&(name, fields)), "{name} with {fields} fields is not declared, or has others here");
    }
}

#[test]
fn constants_are_those_of_the_header() {
    let mut c = String::new();
    let mut known = Vec::new();
    for line in include_str!("../src/constants.rs").lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let (name, rest) = line.split_once(':').unwrap();
        let value = rest.rsplit(' ').next().unwrap().trim_end_matches(';');
        assert_line(&mut c, name, value.parse().unwrap());
        known.push(name);
    }
    assert!(known.len() > 40);
    compile("constants.c", &c).unwrap();

    let text = code_of(&(header("types.h") + &header("ffi.h")));
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for word in words.filter(|word| word.starts_with("COMMY_") && !word.ends_with("_H") && *word != "COMMY_API") {
        assert!(known.contains(&word), "{word} is missing");
    }
}

#[test]
fn functions_have_the_signatures_of_the_header() {
    let declarations = c_declarations();
    let callbacks = c_callbacks();
    assert_eq!(callbacks.len(), 3);
    compile("functions.c", &(callbacks.join("\n") + &declarations.join("\n"))).unwrap();

    let text = code_of(&(header("types.h") + &header("ffi.h")));
    let mut exported = 0;
    for piece in text.split("COMMY_API ").skip(1) {
        let name = piece.split('(').next().unwrap().rsplit([' ', '*']).next().unwrap();
        if name.starts_with("commy_") {
            let calls = format!("{name}(");
            assert!(declarations.iter().any(|line| line.contains(&calls)), "{name} is not declared");
            exported += 1;
        }
    }
    assert_eq!(exported, declarations.len(), "what is declared here and what the header declares");
}

#[test]
fn a_wrong_declaration_would_be_seen() {
    compile(
        "right.c",
        "_Static_assert(sizeof(commy_handle_t) == 8, \"\"); int32_t commy_find(commy_handle_t h, const \
                        char *id, commy_target_t *target);",
    )
    .unwrap();
    compile("size.c", "_Static_assert(sizeof(commy_handle_t) == 4, \"\");").unwrap_err();
    compile("sign.c", "int32_t commy_find(commy_handle_t h, const char *id, const commy_target_t *target);")
        .unwrap_err();
    compile("name.c", "_Static_assert(COMMY_STATUS_NO_SUCH_NAME == 1, \"\");").unwrap_err();
}

/// The text without comments.
fn code_of(header: &str) -> String {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, after)) = rest.split_once("/*") {
        code += before;
        rest = after.split_once("*/").expect("comments end").1;
    }
    code + rest
}

/// Name and body of each structure of the header.
fn structures_of(text: &str) -> Vec<(&str, &str)> {
    let pieces = text.split("typedef struct ").skip(1);
    pieces
        .filter_map(|piece| {
            let (body, after) = piece.split_once('{')?.1.split_once('}')?;
            Some((after.split(';').next()?.trim(), body))
        })
        .collect()
}

/// This crate's extern block as C would write it: a second declaration that differs from the header's is an error.
fn c_declarations() -> Vec<String> {
    let block = include_str!("../src/lib.rs").split_once("extern \"C\" {").unwrap().1;
    let block = block.split_once("\n}").unwrap().0;
    block.split("pub fn ").skip(1).map(|function| c_declaration(function.split_once(';').unwrap().0)).collect()
}

/// The types of callbacks: C11 takes a typedef twice, if it is the same.
fn c_callbacks() -> Vec<String> {
    let types = include_str!("../src/lib.rs").split("pub type ").skip(1);
    types
        .map(|declared| {
            let (name, rest) = declared.split_once('=').unwrap();
            let parameters = rest.split_once("fn(").unwrap().1.split_once(')').unwrap().0;
            let function = c_declaration(&format!("callback({parameters})"));
            format!("typedef {}", function.replace("callback(", &format!("(*{})(", name.trim())))
        })
        .collect()
}

fn c_declaration(function: &str) -> String {
    let (head, result) = match function.split_once("->") {
        Some((head, result)) => (head, c_type(result.trim())),
        None => (function, "void ".into()),
    };
    let (name, parameters) = head.trim().split_once('(').unwrap();
    let parameters = parameters.trim_end().strip_suffix(')').unwrap();
    let parameters: Vec<String> = parameters
        .split(", ")
        .flat_map(|part| part.split(",\n"))
        .filter(|parameter| !parameter.trim().is_empty())
        .map(|parameter| {
            let (name, kind) = parameter.trim().trim_end_matches(',').split_once(": ").unwrap();
            format!("{}{name}", c_type(kind))
        })
        .collect();
    let parameters = if parameters.is_empty() { "void".into() } else { parameters.join(", ") };
    format!("{result}{name}({parameters});")
}

fn c_type(rust: &str) -> String {
    if let Some(pointee) = rust.strip_prefix("*const ") {
        return match c_type(pointee).trim_end() {
            inner if inner.ends_with('*') => format!("{inner}const *"),
            inner => format!("const {inner} *"),
        };
    }
    if let Some(pointee) = rust.strip_prefix("*mut ") {
        return format!("{}*", c_type(pointee));
    }
    match rust {
        "c_char" => "char ".into(),
        "c_void" => "void ".into(),
        "u8" | "u16" | "u32" | "u64" | "i32" => {
            format!("{}int{}_t ", if rust.starts_with('u') { "u" } else { "" }, &rust[1..])
        }
        "usize" => "size_t ".into(),
        "f64" => "double ".into(),
        name => format!("{name} "),
    }
}
