//! The conformance suite's calls, made through the crate commy: one request a line on standard input, one answer a line
//! on standard output (tests/conformance/README.md).

mod arguments;
mod calls;
mod json;
mod watching;

use std::io::{BufRead, Write};

use arguments::{Arguments, Failure};
use calls::{Driver, CALLS};
use json::{number, object, string, Value};

fn answer(driver: &mut Driver, request: &Value) -> (i32, Result<Value, String>) {
    let name = match request.get("call") {
        Value::String(name) => name.as_str(),
        _ => return (-2, Err("the request names no call".into())),
    };
    if name == "capabilities" {
        return (0, Ok(Value::List(CALLS.iter().map(|(name, _)| string(name)).collect())));
    }
    let call = match CALLS.iter().find(|(known, _)| *known == name) {
        Some((_, call)) => call,
        None if name == "bye" => return (0, Ok(Value::Null)),
        None => return (-1, Err("unknown call".into())),
    };
    match call(driver, &Arguments(request.get("args"))) {
        Ok(value) => (0, Ok(value)),
        Err(Failure::Commy(error)) => (error.code(), Err(error.to_string())),
        Err(Failure::Unwritable(message)) => (2, Err(message)),
        Err(Failure::NoMesh(message)) => (3, Err(message)),
        Err(Failure::Defect(message)) => (-2, Err(message)),
    }
}

fn main() -> std::io::Result<()> {
    let mut driver = Driver::default();
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let request = json::parse(&line?).unwrap_or(Value::Null);
        let (code, result) = answer(&mut driver, &request);
        let result = match result {
            Ok(value) => ("value", value),
            Err(message) => ("message", string(message)),
        };
        let seq = request.get("seq").clone();
        writeln!(output, "{}", object([("seq", seq), ("code", number(code)), result]))?;
        output.flush()?;
        if request.get("call") == &string("bye") {
            break;
        }
    }
    Ok(())
}
