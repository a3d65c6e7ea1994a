//! Spreads HTTP requests over the instances of a service and reports what came of them, which `commy stat` shows.
//!
//!     cargo run --example http_client -- web 100
//!
//! Ends with 0 when every request was answered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use commy::{Error, LoadBalancer, Mesh, Policy, Target};

fn get(target: &Target) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(target.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.address());
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.") && head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "no success")),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, requests) = match arguments.as_slice() {
        [name, requests] => (name, requests.parse::<u64>()?),
        _ => return Err("usage: http_client NAME REQUESTS".into()),
    };
    let mesh = Mesh::options().must_exist().open()?;
    mesh.configure_load_balancer(LoadBalancer::new(Policy::WeightedRoundRobin))?;
    let (mut answered, mut failed) = (0, 0);
    while answered + failed < requests {
        let target = mesh.select(name)?;
        let request = match mesh.begin(&target) {
            Ok(request) => request,
            Err(Error::NotFound(_)) => continue, // it left this very moment: select again
            Err(error) => return Err(error.into()),
        };
        match get(&target) {
            Ok(body) => {
                print!("{body}");
                answered += 1;
                request.succeed()?;
            }
            Err(error) => {
                eprintln!("{}: {error}", target.address());
                failed += 1;
                request.fail()?;
            }
        }
    }
    println!("{answered} answered, {failed} failed; 99 % took up to {:?}", mesh.latency(Some(name), 0.99)?);
    if failed > 0 {
        return Err(format!("{failed} requests failed").into());
    }
    Ok(())
}
