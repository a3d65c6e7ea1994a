//! An HTTP server that registers itself: whoever looks for `web` finds it until it ends, however it ends.
//!
//!     cargo run --example http_server -- web web-1
//!
//! Try it with `cargo run --example http_client -- web 100`, `curl`, `commy ls`, and `kill -9`.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

fn answer(mut stream: TcpStream, id: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = request.split(' ').nth(1).unwrap_or("nothing");
    while !lines.next().unwrap_or_else(|| Ok(String::new()))?.is_empty() {} // the headers
    let body = format!("{id} was asked for {path}\n");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, id) = match arguments.as_slice() {
        [name, id] => (name, id),
        _ => return Err("usage: http_server NAME ID".into()),
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let mesh = commy::Mesh::create(format!("{id}-node"), port)?;
    mesh.register(&commy::Registration::new(name, id, "127.0.0.1", port).tag("http").version("1.0"))?;
    println!("{id} serves {name} on 127.0.0.1:{port}, as node {}", mesh.node_id()?);
    for stream in listener.incoming() {
        if let Err(error) = stream.and_then(|stream| answer(stream, id)) {
            eprintln!("{id}: {error}"); // one client's trouble
        }
    }
    Ok(())
}
